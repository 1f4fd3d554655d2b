"""An observer for those who do not watch."""

from collections.abc import Sequence

from bench.execution.executor import Event
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Block


class NullObserver:
    """Sees all and says nothing."""

    def planned(self, blocks: Sequence[Block], lanes: int) -> None:
        """Say nothing."""

    def event(self, event: Event) -> None:
        """Say nothing."""

    def recorded(self, record: TrialRecord) -> None:
        """Say nothing."""
