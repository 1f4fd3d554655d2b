"""A run as it goes on: a live line on a terminal, a line a trial where there is none.

Usage:
    with progress() as observer:
        bench.run(suite, observer=observer)

Written to stderr; stdout is for results.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.execution.estimation.estimator import estimated_trial_s
from bench.execution.executor import (
    EpochEnded,
    Event,
    Expected,
    NotWarmedUp,
    Opened,
    Started,
    WarmingUp,
    Warned,
)
from bench.records.trial_record import LeftOut, TrialRecord
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.environment_text import left_out
from bench.report.text.escaping import plain, visible
from bench.report.text.expectation_text import lost_lines, too_large_lines
from bench.report.text.jit_text import chosen_text, slow_lines
from bench.report.text.number_text import duration, plural
from bench.spec.plan import Block, Trial

Show = Callable[[str], None]

QUIET_S = 300.0
"""Without a terminal, the status is a line of its own after so long without any."""


class Progress:
    """Counts trials and estimates what is left from those that have ended.

    Where it is ``timed``, its lines say how long the run has taken and will take, since no status
    is seen beside them.
    """

    def __init__(
        self,
        line: Show,
        status: Show,
        clock: Callable[[], float] = time.monotonic,
        *,
        timed: bool = False,
    ) -> None:
        self._show_line, self._status, self._clock = line, status, clock
        self._timed = timed
        self._began_s = self._told_s = clock()
        self._running: dict[str, str] = {}
        self._epochs: dict[str, int] = {}
        self._trials: dict[str, Trial] = {}
        self._ended: set[str] = set()
        self._failed: set[str] = set()
        self._guessed_s = self._spent_s = self._left_guess_s = 0.0
        self._lanes = 1
        self._expected_s: dict[str, float] = {}

    def planned(self, blocks: Sequence[Block], lanes: int) -> None:
        """Begin: what is to run."""
        self._trials = {trial.trial_id: trial for block in blocks for trial in block.trials}
        self._left_guess_s = sum(map(self._guess_s, self._trials.values()))
        self._lanes = max(1, min(lanes, len(blocks)))
        self._line(f"{plural(len(self._trials), 'trial')}, {self._lanes} at a time")
        self._refresh()

    def event(self, event: Event) -> None:
        """Show what is expected, begun, ended, waited for, warmed up, left out or doubtful."""
        if isinstance(event, Started):
            self._running[event.trial.trial_id] = event.where
            if event.trial.trial_id in self._ended:  # its worker was lost: tried again
                self._ended.discard(event.trial.trial_id)
                self._failed.discard(event.trial.trial_id)
                self._left_guess_s += self._guess_s(event.trial)
        elif isinstance(event, EpochEnded):
            self._epochs[event.trial_id] = event.epoch.epoch + 1
        elif isinstance(event, Expected):
            self._expect(event)
        elif isinstance(event, WarmingUp):
            what = f"{plural(event.programs, 'program')} on {plural(event.nodes, 'node')}"
            self._line(f"warming up the GPUs, untimed: {what}")
        elif isinstance(event, NotWarmedUp):
            what = plural(event.programs, "program")
            self._line(f"{plain(event.node)}: {what} not warmed up: {plain(event.reason)}")
        elif isinstance(event, LeftOut):
            self._line(plain(left_out(event)))
        elif isinstance(event, Warned):
            self._line(f"warning: {plain(event.reason)}")
        elif isinstance(event, Opened):
            self._line(_open_to(event))
        else:
            self._line(f"{_name(event.trial)}: waiting: {plain(event.reason)}")
        self._refresh()

    def recorded(self, record: TrialRecord) -> None:
        """A trial ended."""
        trial = record.trial
        self._running.pop(trial.trial_id, None)
        self._epochs.pop(trial.trial_id, None)
        if trial.trial_id not in self._ended:
            self._left_guess_s -= self._guess_s(trial)
        self._ended.add(trial.trial_id)
        if record.status != "completed":
            self._failed.add(trial.trial_id)
        self._guessed_s += self._guess_s(trial)
        self._spent_s += record.wall_s or 0.0
        self._line(f"[{len(self._ended)}/{len(self._trials)}] {_sentence(record)}{self._times()}")
        for warning in record.warnings:
            self._line(f"{_name(trial)}: {plain(warning)}")
        self._refresh()

    def left_s(self) -> float:
        """Seconds left: guesses for the trials to come, corrected by those that have ended."""
        pace = self._spent_s / self._guessed_s if self._guessed_s else 1.0
        return max(0.0, self._left_guess_s) * pace / self._lanes

    def _expect(self, event: Expected) -> None:
        """Take the run's own estimates; tell what was chosen, what is slow, what may not fit."""
        self._expected_s = {name: found.trial_s for name, found in event.estimates.items()}
        self._left_guess_s = sum(map(self._guess_s, self._trials.values()))
        variants = {trial.variant_id: trial.variant for trial in self._trials.values()}
        chosen = (variant for name, variant in variants.items() if name in event.open_jit)
        if text := chosen_text(chosen, event.device):
            self._line(text)
        for line in slow_lines(variants.values(), event.device):
            self._line(f"warning: {line}")
        labels = {trial.variant_id: trial.label for trial in self._trials.values()}
        for line in too_large_lines(labels, event.too_large, event.device):
            self._line(line)
        for line in lost_lines(event.lost):
            self._line(line)
        for line in duplicate_lines(event.duplicates):
            self._line(plain(line))

    def _line(self, text: str) -> None:
        self._told_s = self._clock()
        self._show_line(text)

    def _times(self) -> str:
        if not self._timed:
            return ""
        left = len(self._trials) > len(self._ended)
        to_go = f", about {duration(self.left_s())} to go" if left else ""
        return f"; {self._so_far()}{to_go}"

    def _so_far(self) -> str:
        return f"{duration(self._clock() - self._began_s)} so far"

    def _guess_s(self, trial: Trial) -> float:
        known = self._expected_s.get(trial.variant_id)
        return estimated_trial_s(trial.variant) if known is None else known

    def _refresh(self) -> None:
        left = len(self._trials) - len(self._ended)
        parts = [f"{len(self._ended)} done", f"{left} left"]
        if self._failed:
            parts.insert(1, f"{len(self._failed)} not completed")
        if left:
            parts.append(f"about {duration(self.left_s())} to go")
        parts += [self._sign_of_life(trial_id) for trial_id in list(self._running)[:4]]
        status = " · ".join(parts)
        self._status(status)
        if self._timed and self._clock() - self._told_s > QUIET_S:
            self._line(f"{self._so_far()}: {status}")

    def _sign_of_life(self, trial_id: str) -> str:
        trial = self._trials.get(trial_id)
        if trial is None:
            return trial_id
        epoch = self._epochs.get(trial_id, 0)
        where = self._running[trial_id]
        return f"{plain(trial.label)} ({epoch}/{trial.variant.epochs} epochs on {where})"


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A ``Progress`` that writes to stderr in the way that suits it."""
    if not sys.stderr.isatty():
        yield Progress(line=_quiet(_print), status=lambda _: None, timed=True)
        return
    from rich.console import Console
    from rich.text import Text

    # As Text, since Rich would read a label's brackets as markup.
    console = Console(stderr=True, highlight=False)
    with console.status(Text("starting")) as live:
        yield Progress(
            line=_quiet(lambda text: console.print(Text(text), soft_wrap=True)),
            status=_quiet(lambda text: live.update(_fitting(text, console))),
        )


def _quiet(show: Show) -> Show:
    """``show`` of text that steers no terminal.

    Nothing is shown on a terminal or a pipe that is gone: no run ends for want of a watcher.
    """

    def shown(text: str) -> None:
        with contextlib.suppress(OSError):
            show(visible(text))

    return shown


def _fitting(text: str, console: Any) -> Any:
    from rich.text import Text

    fitted = Text(text)
    fitted.truncate(max(10, console.width - 4), overflow="ellipsis")
    return fitted


def _open_to(event: Opened) -> str:
    who = f"{', '.join(event.addresses)} in {event.network}, and " if event.network else ""
    return f"TensorFlow's server is open, without a password, to {who}users of a worker's machine"


def _name(trial: Trial) -> str:
    return f"{plain(trial.label)} (block {trial.block})"


def _sentence(record: TrialRecord) -> str:
    head = f"{_name(record.trial)}: "
    if record.status != "completed":
        return f"{head}{record.status}: {plain(record.error or 'no reason known')}"
    seconds, variant = record.epoch_s, record.trial.variant
    if seconds is None:
        return f"{head}completed"
    steps = f" cut to {variant.steps_per_epoch:,} steps" if variant.is_capped else ""
    return f"{head}{duration(seconds)} an epoch{steps}"


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
