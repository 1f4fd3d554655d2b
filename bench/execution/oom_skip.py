"""Trials that need not be tried: a smaller batch of the same variant was out of memory.

Usage:
    pruning = OomSkipper()
    pruning.learn(record.trial.variant)     # it was out of memory
    reason = pruning.skip_reason(trial)      # None where it is worth trying

Memory grows with the batch, everything else being equal; whoever asks for this spares the
time in which the rest of a sweep would fail in the same way.
"""

import json

from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from bench.spec.variant import Variant


class OomSkipper:
    """The smallest batch of each variant that was out of memory so far."""

    def __init__(self) -> None:
        self._smallest: dict[str, int] = {}

    def learn(self, variant: Variant) -> None:
        """A trial of ``variant`` was out of memory."""
        key, size = _but_batch(variant), variant.global_batch_size
        self._smallest[key] = min(size, self._smallest.get(key, size))

    def skip_reason(self, trial: Trial) -> str | None:
        """Why a trial would be out of memory; None where nothing says so."""
        size = self._smallest.get(_but_batch(trial.variant))
        if size is None or trial.variant.global_batch_size <= size:
            return None
        return f"not run: global_batch_size {size} of the same variant was out of memory"


def skipped_record(trial: Trial, reason: str) -> TrialRecord:
    """The record of a trial that was not worth trying."""
    return TrialRecord(trial=trial, status="out_of_memory", error=reason, wall_s=0.0)


def _but_batch(variant: Variant) -> str:
    settings = {k: v for k, v in variant.canonical().items() if k != "global_batch_size"}
    return json.dumps(settings, sort_keys=True)
