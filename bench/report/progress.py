"""A run as it goes on: a live line on a terminal, a line a trial where there is none.

Usage:
    with progress(total=plan_size) as observer:
        bench.run(suite, observer=observer)

Written to stderr; stdout is for results.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.execution.estimate import estimated_trial_s
from bench.execution.executor import EpochEnded, Event, Started
from bench.records.record import TrialRecord
from bench.report.number import duration
from bench.spec.plan import Block, Trial

Show = Callable[[str], None]


class Progress:
    """Counts trials and estimates what is left from those that have ended."""

    def __init__(
        self, line: Show, status: Show, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._line, self._status, self._clock = line, status, clock
        self._running: dict[str, str] = {}
        self._epochs: dict[str, int] = {}
        self._trials: dict[str, Trial] = {}
        self._done = self._failed = 0
        self._guessed_s = self._spent_s = 0.0
        self._lanes = 1

    def planned(self, blocks: Sequence[Block], lanes: int) -> None:
        """Begin: what is to run."""
        self._trials = {trial.trial_id: trial for block in blocks for trial in block.trials}
        self._lanes = max(1, lanes)
        count = len(self._trials)
        self._line(f"{count} trial{'s' if count != 1 else ''}, {lanes} at a time")
        self._refresh()

    def event(self, event: Event) -> None:
        """A trial started, or an epoch ended."""
        if isinstance(event, Started):
            self._running[event.trial.trial_id] = event.where
        elif isinstance(event, EpochEnded):
            self._epochs[event.trial_id] = event.epoch.epoch + 1
        self._refresh()

    def recorded(self, record: TrialRecord) -> None:
        """A trial ended."""
        trial = record.trial
        self._running.pop(trial.trial_id, None)
        self._epochs.pop(trial.trial_id, None)
        self._trials.pop(trial.trial_id, None)
        self._done += 1
        self._failed += record.status != "completed"
        self._guessed_s += estimated_trial_s(trial.variant)
        self._spent_s += record.wall_s or 0.0
        self._line(f"[{self._done}/{self._done + len(self._trials)}] {_sentence(record)}")
        self._refresh()

    def left_s(self) -> float:
        """Seconds left: guesses for the trials to come, corrected by those that have ended."""
        pace = self._spent_s / self._guessed_s if self._guessed_s else 1.0
        guess = sum(estimated_trial_s(trial.variant) for trial in self._trials.values())
        return guess * pace / self._lanes

    def _refresh(self) -> None:
        parts = [f"{self._done} done", f"{len(self._trials)} left"]
        if self._failed:
            parts.insert(1, f"{self._failed} not completed")
        if self._trials:
            parts.append(f"about {duration(self.left_s())} to go")
        parts += [self._sign_of_life(trial_id) for trial_id in list(self._running)[:4]]
        self._status(" · ".join(parts))

    def _sign_of_life(self, trial_id: str) -> str:
        trial = self._trials.get(trial_id)
        if trial is None:
            return trial_id
        epoch = self._epochs.get(trial_id, 0)
        return f"{trial.label} ({epoch}/{trial.variant.epochs} epochs on {self._running[trial_id]})"


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """A ``Progress`` that writes to stderr in the way that suits it."""
    if not sys.stderr.isatty():
        yield Progress(line=_print, status=lambda _: None)
        return
    from rich.console import Console
    from rich.text import Text

    # As Text, since Rich would read a label's brackets as markup.
    console = Console(stderr=True, highlight=False)
    with console.status(Text("starting")) as live:
        yield Progress(
            line=lambda text: console.print(Text(text), soft_wrap=True),
            status=lambda text: live.update(_fitting(text, console)),
        )


def _fitting(text: str, console: Any) -> Any:
    from rich.text import Text

    fitted = Text(text)
    fitted.truncate(max(10, console.width - 4), overflow="ellipsis")
    return fitted


def _sentence(record: TrialRecord) -> str:
    trial = record.trial
    head = f"{trial.label} (block {trial.block}): "
    if record.status != "completed":
        return f"{head}{record.status}: {record.error}"
    seconds = record.epoch_s
    return head + (f"{duration(seconds)} an epoch" if seconds is not None else "completed")


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
