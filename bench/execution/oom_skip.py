"""Skip trials for which a smaller batch of the same variant ran out of memory.

Usage:
    skipper = OomSkipper()
    skipper.learn(record.trial.variant)      # it ran out of memory
    reason = skipper.skip_reason(trial)      # None if the trial is worth trying

Memory grows with the batch if everything else is equal. Skipping saves the time in which the rest
of a sweep would fail for the same reason.
"""

import json

from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from bench.spec.variant import Variant


class OomSkipper:
    """The smallest batch of each variant that has run out of memory so far."""

    def __init__(self) -> None:
        self._smallest: dict[str, int] = {}

    def learn(self, variant: Variant) -> None:
        """Note that a trial of ``variant`` ran out of memory."""
        key, size = _all_except_batch(variant), variant.global_batch_size
        self._smallest[key] = min(size, self._smallest.get(key, size))

    def skip_reason(self, trial: Trial) -> str | None:
        """Return why a trial would run out of memory; None if it may fit."""
        size = self._smallest.get(_all_except_batch(trial.variant))
        if size is None or trial.variant.global_batch_size <= size:
            return None
        return f"not run: the same variant ran out of memory with global_batch_size {size}"


def skipped_record(trial: Trial, reason: str) -> TrialRecord:
    """Return the record of a trial that was skipped."""
    return TrialRecord(trial=trial, status="out_of_memory", error=reason, wall_s=0.0)


def _all_except_batch(variant: Variant) -> str:
    settings = {k: v for k, v in variant.canonical().items() if k != "global_batch_size"}
    return json.dumps(settings, sort_keys=True)
