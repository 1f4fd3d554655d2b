"""An observer that ignores all events."""

from collections.abc import Sequence

from bench.execution.executor import Event
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Block


class NullObserver:
    """Ignores all events."""

    def planned(self, blocks: Sequence[Block], parallel_blocks: int) -> None:
        """Say nothing."""

    def event(self, event: Event) -> None:
        """Say nothing."""

    def recorded(self, record: TrialRecord) -> None:
        """Say nothing."""
