"""What is recorded of an epoch, and how accuracies of earlier versions are read.

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
from bench.spec.fail_fast import FailFastTuple

_SCORES = tuple((f"{kind}_loss", f"{kind}_accuracy") for kind in ("train", "val", "test"))


def without_accuracy_of_nan(fields: Any) -> Any:
    """``fields`` of an epoch or of measures, each accuracy beside a NaN loss as None.

    Earlier versions recorded the share of labels that are 0 there, the argmax of NaN.
    """
    if not isinstance(fields, dict):
        return fields
    void = [accuracy for loss, accuracy in _SCORES if _is_nan(fields.get(loss))]
    return {**fields, **dict.fromkeys(void)} if void else fields


def _is_nan(value: Any) -> bool:
    return value == "NaN" or (isinstance(value, float) and math.isnan(value))


class EpochRecord(RecordPart):
    """One epoch of training, timed from sync to sync around exactly its steps."""

    epoch: Count
    """From 0."""
    warmup: Flag
    """Whether it is left out of every figure of its trial."""
    epoch_s: EpochSeconds
    """From sync to sync; shuffling is inside, validation is not."""
    examples: Positive
    """Examples trained on: the remainder that fills no batch is left out."""
    steps: Positive
    """Updates asked for, skipped ones included."""
    train_loss: Number
    """Mean over the steps taken, with what layers add to it; a step that was skipped has none."""
    train_accuracy: SomeShare | None
    """Over the same examples, as the weights were at each step; null where the loss is NaN."""
    val_loss: Number | None = None
    """After the epoch, on the 5,000 images kept for validation, with what layers add to it;
    infinite where some predictions are NaN, NaN where all are."""
    val_accuracy: Share | None = None
    """After the epoch, on the same images; a prediction that is NaN is never right."""
    evaluate_s: Seconds | None = None
    """Time of the validation after the epoch, outside ``epoch_s``."""
    window_s: FailFastTuple[Seconds] = ()
    """Time of each window of steps; their number of steps is in ``resolved``."""
    repeats: Positive = 1
    """How often the epoch was timed, from the same state; its times are means over these."""
    clipped_steps: Count | None = None
    """Steps in which clipping changed a gradient; None without clipping."""
    skipped_steps: Count | None = None
    """Steps applied on no replica for a non-finite sum of gradients. None where ``non_finite``
    has such a sum applied: on every replica then, and the trial diverges."""
    input_wait_s: Seconds | None = None
    """Inside ``epoch_s``, time in which the loop over steps waited for its next batch; None where
    the device holds the data, and in deterministic runs. A GPU may have been at work meanwhile on
    steps given to it before."""

    _accuracies = model_validator(mode="before")(without_accuracy_of_nan)

    @property
    def examples_per_s(self) -> float:
        """Examples over time of this same epoch."""
        return self.examples / self.epoch_s
