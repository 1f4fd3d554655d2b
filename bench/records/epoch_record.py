"""Define the record of an epoch, and correct accuracies that earlier versions recorded.

Usage:
    EpochRecord.model_validate({"epoch": 0, "warmup": True, "epoch_s": 0.5, ...})
"""

import math
from typing import Any

from pydantic import model_validator

from bench.records.ranges import (
    Count,
    EpochSeconds,
    Flag,
    Number,
    Positive,
    Seconds,
    Share,
    SomeShare,
)
from bench.records.record_part import RecordPart
from bench.spec.fail_fast_types import FailFastTuple

_SCORES = tuple((f"{kind}_loss", f"{kind}_accuracy") for kind in ("train", "val", "test"))


def without_accuracy_of_nan(fields: Any) -> Any:
    """Return ``fields`` of an epoch or of measures with None for each accuracy with a NaN loss.

    For a NaN loss, earlier versions recorded the share of labels that are 0, the argmax of NaN.
    """
    if not isinstance(fields, dict):
        return fields
    invalid = [accuracy for loss, accuracy in _SCORES if _is_nan(fields.get(loss))]
    return {**fields, **dict.fromkeys(invalid)} if invalid else fields


def _is_nan(value: Any) -> bool:
    return value == "NaN" or (isinstance(value, float) and math.isnan(value))


class EpochRecord(RecordPart):
    """One epoch of training, timed from sync to sync around only its steps."""

    epoch: Count
    """From 0."""
    warmup: Flag
    """Whether all figures of the trial exclude it."""
    epoch_s: EpochSeconds
    """From sync to sync; includes shuffling, excludes validation."""
    examples: Positive
    """Examples trained on, without the remainder that does not fill a batch."""
    steps: Positive
    """Updates, including skipped ones."""
    train_loss: Number
    """Mean over the steps, including losses that layers add; skipped steps do not count."""
    train_accuracy: SomeShare | None
    """Over the same examples, with the weights at each step; null if the loss is NaN."""
    val_loss: Number | None = None
    """After the epoch, on the 5,000 validation images, including losses that layers add; infinite
    if some predictions are NaN, NaN if all are."""
    val_accuracy: Share | None = None
    """After the epoch, on the same images; a NaN prediction counts as wrong."""
    evaluate_s: Seconds | None = None
    """Time of the validation after the epoch, outside ``epoch_s``."""
    window_s: FailFastTuple[Seconds] = ()
    """Time of each window of steps; ``resolved`` has the number of steps in a window."""
    repeats: Positive = 1
    """How often the epoch was timed from the same state; its times are means over the repeats."""
    clipped_steps: Count | None = None
    """Steps in which clipping changed a gradient; None without clipping."""
    skipped_steps: Count | None = None
    """Steps that no replica applied because the sum of gradients was not finite. None if
    ``non_finite`` applies such sums: then every replica applies them, and the trial diverges."""
    input_wait_s: Seconds | None = None
    """Part of ``epoch_s`` in which the loop over steps waited for its next batch; None if the
    device holds the data, and in deterministic runs. A GPU may still have been working on earlier
    steps during that time."""
    window_start_s: FailFastTuple[Seconds] | None = None
    """Start of each window on the monotonic clock of the node, which its processes share
    (CLOCK_MONOTONIC); with repeats, in the last one."""
    window_round: FailFastTuple[Count] | None = None
    """Round in which each window ran, from 0, if the arms of a block take turns; null if trials run
    one after another."""
    window_cpu_s: FailFastTuple[Seconds] | None = None
    """CPU time of all threads of the trial's process in each window."""
    window_involuntary_switches: FailFastTuple[Count] | None = None
    """How often the kernel took a core from one of these threads in each window, in all repeats
    together (getrusage(2): ru_nivcsw)."""

    _accuracies = model_validator(mode="before")(without_accuracy_of_nan)

    @model_validator(mode="after")
    def _one_value_a_window(self) -> "EpochRecord":
        for name in PER_WINDOW:
            values = getattr(self, name)
            if values is not None and len(values) != len(self.window_s):
                raise ValueError(
                    f"{name} cannot have {len(values)} values: window_s has {len(self.window_s)}"
                )
        return self

    @property
    def examples_per_s(self) -> float:
        """Examples divided by the time of this epoch."""
        return self.examples / self.epoch_s


PER_WINDOW = tuple(name for name in EpochRecord.model_fields if name.startswith("window_"))
"""Fields with a value for each window of an epoch, in the order of the windows."""
