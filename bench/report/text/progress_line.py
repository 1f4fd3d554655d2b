"""Show the progress of a run: a live line on a terminal, or one line per trial elsewhere.

Usage:
    with progress() as observer:
        bench.run(suite, observer=observer)

Progress goes to stderr; stdout is for results.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from bench.execution.estimation.estimator import estimated_trial_s
from bench.execution.executor import (
    EpochEnd,
    Event,
    Forecast,
    FurtherBlocks,
    OpenServer,
    RunWarning,
    SetupStart,
    TrialStart,
    WarmUpFailure,
    WarmUpStart,
)
from bench.records.trial_record import ExcludedGpus, TrialRecord
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.environment_text import excluded_gpus_text
from bench.report.text.escaping import plain, visible
from bench.report.text.expectation_text import lost_baseline_warnings, memory_warnings
from bench.report.text.jit_text import default_jit_text, slow_jit_warnings
from bench.report.text.number_text import duration, plural
from bench.report.text.stopping_text import further_text
from bench.spec.plan import Block, Trial

Show = Callable[[str], None]

STATUS_INTERVAL_S = 300.0
"""Without a terminal, the status is printed after this long without any other line."""
_MAX_RUNNING = 4
"""How many running trials the status names."""


class Progress:
    """Counts trials, and estimates the remaining time from the trials that have finished.

    If ``timed``, the lines include the elapsed and the remaining time, because no status line is
    visible beside them.
    """

    def __init__(
        self,
        line: Show,
        status: Show,
        clock: Callable[[], float] = time.monotonic,
        *,
        timed: bool = False,
    ) -> None:
        self._show_line, self._show_status, self._clock = line, status, clock
        self._timed = timed
        self._start_s = self._last_line_s = clock()
        self._concurrency = 1
        self._trials: dict[str, Trial] = {}
        self._node_by_trial: dict[str, str] = {}
        self._epoch_counts: dict[str, int] = {}
        self._finished_ids: set[str] = set()
        self._failed_ids: set[str] = set()
        self._estimates_s: dict[str, float] = {}
        self._remaining_estimate_s = 0.0
        self._finished_estimate_s = self._finished_time_s = 0.0

    def planned(self, blocks: Sequence[Block], parallel_blocks: int) -> None:
        """Add the trials of ``blocks``, of which ``parallel_blocks`` run at once."""
        added = {trial.trial_id: trial for block in blocks for trial in block.trials}
        self._trials |= added
        self._remaining_estimate_s += sum(map(self._estimate_s, added.values()))
        self._concurrency = max(1, min(parallel_blocks, len(blocks)))
        self._line(f"{plural(len(added), 'trial')}, {self._concurrency} at a time")
        self._refresh()

    def event(self, event: Event) -> None:
        """Update the status, and print a line for what the user should know."""
        if isinstance(event, TrialStart):
            self._start(event)
        elif isinstance(event, EpochEnd):
            self._epoch_counts[event.trial_id] = event.epoch.epoch + 1
        elif isinstance(event, Forecast):
            self._expect(event)
        elif isinstance(event, WarmUpStart):
            work = f"{plural(event.programs, 'program')} on {plural(event.nodes, 'node')}"
            self._line(f"warming up the GPUs, untimed: {work}")
        elif isinstance(event, WarmUpFailure):
            programs = plural(event.programs, "program")
            self._line(f"{plain(event.node)}: {programs} not warmed up: {plain(event.reason)}")
        elif isinstance(event, ExcludedGpus):
            self._line(plain(excluded_gpus_text(event)))
        elif isinstance(event, RunWarning):
            self._line(f"warning: {plain(event.reason)}")
        elif isinstance(event, OpenServer):
            self._line(_exposure_text(event))
        elif isinstance(event, FurtherBlocks):
            self._line(_further_text(event))
        elif isinstance(event, SetupStart):
            self._line(f"environment {event.environment}: setup: {plain(event.command)}")
        else:
            self._line(f"{_trial_name(event.trial)}: waiting: {plain(event.reason)}")
        self._refresh()

    def recorded(self, record: TrialRecord) -> None:
        """Count a finished trial and print its outcome."""
        trial = record.trial
        self._node_by_trial.pop(trial.trial_id, None)
        self._epoch_counts.pop(trial.trial_id, None)
        if trial.trial_id not in self._finished_ids:
            self._remaining_estimate_s -= self._estimate_s(trial)
        self._finished_ids.add(trial.trial_id)
        if record.status != "completed":
            self._failed_ids.add(trial.trial_id)
        self._finished_estimate_s += self._estimate_s(trial)
        self._finished_time_s += record.wall_s or 0.0
        count = f"[{len(self._finished_ids)}/{len(self._trials)}]"
        self._line(f"{count} {_outcome_text(record)}{self._times()}")
        for warning in record.warnings:
            self._line(f"{_trial_name(trial)}: {plain(warning)}")
        self._refresh()

    def remaining_s(self) -> float:
        """Return the estimate for the unfinished trials, scaled by the pace of the finished."""
        finished_s = self._finished_estimate_s
        pace = self._finished_time_s / finished_s if finished_s else 1.0
        return max(0.0, self._remaining_estimate_s) * pace / self._concurrency

    def _start(self, event: TrialStart) -> None:
        trial_id = event.trial.trial_id
        self._node_by_trial[trial_id] = event.where
        if trial_id in self._finished_ids:  # a retry, because its worker was lost
            self._finished_ids.discard(trial_id)
            self._failed_ids.discard(trial_id)
            self._remaining_estimate_s += self._estimate_s(event.trial)

    def _expect(self, event: Forecast) -> None:
        """Take the run's own estimates, and print the default ``jit`` and the warnings."""
        self._estimates_s = {name: each.trial_s for name, each in event.estimates.items()}
        self._remaining_estimate_s = sum(map(self._estimate_s, self._trials.values()))
        variants = {trial.variant_id: trial.variant for trial in self._trials.values()}
        defaulted = (variant for name, variant in variants.items() if name in event.open_jit)
        if text := default_jit_text(defaulted, event.device):
            self._line(text)
        for line in slow_jit_warnings(variants.values(), event.device):
            self._line(f"warning: {line}")
        labels = {trial.variant_id: trial.label for trial in self._trials.values()}
        for line in memory_warnings(labels, event.too_large, event.device):
            self._line(line)
        for line in lost_baseline_warnings(event.lost):
            self._line(line)
        for line in duplicate_lines(event.duplicates):
            self._line(plain(line))

    def _line(self, text: str) -> None:
        self._last_line_s = self._clock()
        self._show_line(text)

    def _times(self) -> str:
        if not self._timed:
            return ""
        unfinished = len(self._trials) > len(self._finished_ids)
        remaining = f", about {duration(self.remaining_s())} to go" if unfinished else ""
        return f"; {self._elapsed_text()}{remaining}"

    def _elapsed_text(self) -> str:
        return f"{duration(self._clock() - self._start_s)} so far"

    def _estimate_s(self, trial: Trial) -> float:
        estimate_s = self._estimates_s.get(trial.variant_id)
        return estimated_trial_s(trial.variant) if estimate_s is None else estimate_s

    def _refresh(self) -> None:
        unfinished = len(self._trials) - len(self._finished_ids)
        parts = [f"{len(self._finished_ids)} done", f"{unfinished} left"]
        if self._failed_ids:
            parts.insert(1, f"{len(self._failed_ids)} not completed")
        if unfinished:
            parts.append(f"about {duration(self.remaining_s())} to go")
        parts += [
            self._running_text(trial_id) for trial_id in [*self._node_by_trial][:_MAX_RUNNING]
        ]
        status = " · ".join(parts)
        self._show_status(status)
        if self._timed and self._clock() - self._last_line_s > STATUS_INTERVAL_S:
            self._line(f"{self._elapsed_text()}: {status}")

    def _running_text(self, trial_id: str) -> str:
        trial = self._trials.get(trial_id)
        if trial is None:
            return trial_id
        epochs = f"{self._epoch_counts.get(trial_id, 0)}/{trial.variant.epochs} epochs"
        return f"{plain(trial.label)} ({epochs} on {self._node_by_trial[trial_id]})"


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Yield a ``Progress`` that writes to stderr, live if that is a terminal."""
    if not sys.stderr.isatty():
        yield Progress(line=_safe(_print), status=lambda _: None, timed=True)
        return
    # Text, because Rich would read the brackets of a label as markup.
    console = Console(stderr=True, highlight=False)
    with console.status(Text("starting")) as live:
        yield Progress(
            line=_safe(lambda text: console.print(Text(text), soft_wrap=True)),
            status=_safe(lambda text: live.update(_truncated(text, console))),
        )


def _safe(show: Show) -> Show:
    """Return ``show`` for text that may contain control characters, on a stream that may close.

    A run goes on when its terminal or the reader of its pipe is gone.
    """

    def show_safely(text: str) -> None:
        with contextlib.suppress(OSError):
            show(visible(text))

    return show_safely


def _truncated(text: str, console: Console) -> Text:
    line = Text(text)
    line.truncate(max(10, console.width - 4), overflow="ellipsis")
    return line


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _exposure_text(event: OpenServer) -> str:
    nodes = f"{', '.join(event.addresses)} in {event.network}, and " if event.network else ""
    return (
        "TensorFlow's server accepts connections without a password from "
        f"{nodes}users of a worker's machine"
    )


def _trial_name(trial: Trial) -> str:
    return f"{plain(trial.label)} (block {trial.block})"


def _outcome_text(record: TrialRecord) -> str:
    name = _trial_name(record.trial)
    if record.status != "completed":
        return f"{name}: {record.status}: {plain(record.error or 'no reason known')}"
    epoch_s, variant = record.epoch_s, record.trial.variant
    if epoch_s is None:
        return f"{name}: completed"
    cap = f" capped at {variant.steps_per_epoch:,} steps" if variant.is_capped else ""
    return f"{name}: {duration(epoch_s)} an epoch{cap}"


def _further_text(event: FurtherBlocks) -> str:
    if event.stopping is not None:
        return further_text(event.stopping)
    spoiled = "one whose trials" if event.count == 1 else f"{event.count} whose trials"
    return f"{plural(event.count, 'block')} more, for {spoiled} did not run together"
