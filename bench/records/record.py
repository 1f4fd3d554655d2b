"""What a trial leaves behind: raw values, warm-ups kept apart, nothing derived but medians.

Usage:
    record = TrialRecord(trial=trial, status="completed", epochs=(...), ...)
    record.model_dump_json()

A record is immutable. What could not be measured is None, never 0.
"""

import math
import statistics
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from bench.records.ranges import (
    NOT_FINITE,
    Amount,
    Count,
    EpochSeconds,
    Flag,
    Moment,
    Number,
    Positive,
    Said,
    Seconds,
    Share,
    SomeShare,
)
from bench.records.shapes import ResolvedSettings
from bench.spec.plan import Trial

SCHEMA_VERSION = 1

Status = Literal[
    "completed",
    "diverged",
    "out_of_memory",
    "timed_out",
    "worker_lost",
    "unsupported",
    "failed",
    "interrupted",
]
STATUSES: tuple[Status, ...] = get_args(Status)

FINE: frozenset[Status] = frozenset({"completed", "diverged", "unsupported"})
"""Statuses that are answers: with these alone, a run has succeeded."""

SETTLED: frozenset[Status] = FINE | {"out_of_memory"}
"""Statuses that a resumed run leaves as they are; the others are tried again."""


MUCH_TAKEN = 0.1
"""Part of a trial's cores that makes its time doubtful, taken by other work."""

_PerLayer = tuple[Number | None, ...]
_SharePerLayer = tuple[SomeShare | None, ...]
_SCORES = tuple((f"{kind}_loss", f"{kind}_accuracy") for kind in ("train", "val", "test"))


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


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


class EpochRecord(_Record):
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
    window_s: tuple[Seconds, ...] = ()
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


class HealthRecord(_Record):
    """A look at each layer between epochs, on 512 examples that never change.

    One value a layer, in the model's order; None where a layer has no such thing. Infinite
    stands for what is no finite number.
    """

    after_epochs: Count
    """Epochs trained before the look; 0: the weights as they start."""
    kind: tuple[str, ...]
    """What the layer is: dense, activation, batch_norm ..."""
    depth: tuple[Count, ...]
    """Products, dense or convolution, up to the layer and with it; 0 on the input's side."""
    output_mean: _PerLayer
    """Of its output, over examples and units."""
    output_variance: _PerLayer
    """Of its output, over examples and units."""
    output_gradient_variance: _PerLayer
    """Of the gradient of each example's loss by the layer's output, over examples and units."""
    saturated_fraction: _SharePerLayer
    """Part of outputs within 1 % of the range of a bound, of an activation that has two."""
    dead_fraction: _SharePerLayer
    """Part of units, or channels, that are 0 for every example, after relu."""
    gradient_norm: _PerLayer
    """L2 norm of the gradient of the mean loss by the layer's weights, before clipping."""
    update_ratio: _PerLayer
    """L2 norm of what the optimiser would then change, over that of the weights."""
    clipped_fraction: _SharePerLayer
    """Part of that gradient's numbers, zeros left out, that clipping would change."""
    overflow_fraction: _SharePerLayer
    """Part of that gradient's numbers that are not finite under the loss scale in force."""
    moving_mean_drift: _PerLayer
    """Root mean square of batch norm's moving mean less its input's, in its deviations."""
    moving_variance_drift: _PerLayer
    """Root mean square of the logarithm of batch norm's moving variance over its input's."""

    @model_validator(mode="after")
    def _one_value_a_layer(self) -> "HealthRecord":
        layers = len(self.kind)
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != layers:
                raise ValueError(f"{name} should have {layers} values, one a layer")
        return self


class Measures(_Record):
    """What was measured on a trial as a whole, in SI units."""

    parameters: Count | None = None
    """All of the model's, those that training does not change included."""
    trainable_parameters: Count | None = None
    """Those that gradients change."""
    import_s: Seconds | None = None
    """Importing TensorFlow and Keras in the fresh process."""
    rendezvous_s: Seconds | None = None
    """Making the strategy; with several workers, until all of them have met."""
    data_load_s: Seconds | None = None
    """Bringing the data to where training reads it."""
    build_s: Seconds | None = None
    """Building the model and its optimiser."""
    cold_start_s: Seconds | None = None
    """First call of every compiled shape: trace, compile, autotune."""
    warmup_s: Seconds | None = None
    """Untimed training between the cold start and the first epoch."""
    warmup_steps: Count | None = None
    """Steps of that training."""
    loss_scale_initial: Amount | None = None
    """What mixed_float16 multiplies the loss by in the first timed step."""
    loss_scale_final: Amount | None = None
    """The same after the last epoch."""
    loss_scale_settling_steps: Count | None = None
    """Untimed steps before the first epoch in which it came down from 32768, weights put back."""
    evaluate_s: Seconds | None = None
    """All validation and the final test, first calls included."""
    health_s: Seconds | None = None
    """Looking at layers (``health_epochs``), between epochs and in no time of theirs."""
    total_s: Seconds | None = None
    """The trial from its process's first line to its record."""
    test_loss: Number | None = None
    """On the test images, after the last epoch; infinite where some predictions are NaN."""
    test_accuracy: Share | None = None
    """On the test images, after the last epoch; a prediction that is NaN is never right."""
    weights_l2: Number | None = None
    """Norm of all trained weights at the end: equal where a trial repeats another."""
    peak_rss_bytes: Count | None = None
    """Largest resident memory of the process; of several workers, the largest."""
    peak_device_memory_bytes: Count | None = None
    """Of training, as TensorFlow's allocator counts; of several GPUs the largest; null on a CPU."""
    peak_device_memory_cold_start_bytes: Count | None = None
    """The same until the first epoch: data, compiling and autotuning, the warm-up."""
    peak_device_memory_evaluate_bytes: Count | None = None
    """The same of validation and test."""
    load_average: Amount | None = None
    """Of the node, over the minute before training."""
    cpu_s: Seconds | None = None
    """CPU time of the trial's process, from after its imports to its record."""
    other_cpu_s: Seconds | None = None
    """CPU time of all other processes on the node meanwhile; of peers on it, too."""
    steal_s: Seconds | None = None
    """CPU time that the hypervisor gave to other machines meanwhile."""
    cpu_taken_share: Share | None = None
    """Part of the time of the trial's cores that others had meanwhile, at least."""
    cpu_throttled_s: Seconds | None = None
    """CPU time for which a container's or a job's quota held threads back meanwhile."""
    energy_j: Amount | None = None
    """Not measured yet."""
    mean_power_w: Amount | None = None
    """Not measured yet."""
    throttled: Flag | None = None
    """Not measured yet."""
    flops_per_step: Count | None = None
    """Floating-point operations of one replica's passes, counted from its graph; null where a
    loop, a branch or an operation without a formula hides a part of them."""
    reduced_bytes_per_step: Count | None = None
    """What a replica gives to be summed over all in a step: gradients, metrics, statistics."""
    mfu: Amount | None = None
    """Not measured yet."""

    _accuracies = model_validator(mode="before")(without_accuracy_of_nan)


class LeftOut(_Record):
    """GPUs of a node that a run does not use."""

    node: str
    devices: tuple[str, ...]
    """By UUID, or as Ray names them where the driver knows none of that name."""
    reason: str
    """Why, in one line."""


def _with_numbers(value: Any) -> Any:
    """``value`` from JSON, its texts for numbers that are not finite as those numbers."""
    if isinstance(value, dict):
        return {key: _with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_numbers(inner) for inner in value]
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value


class TrialRecord(_Record):
    """One attempt at a trial, whatever became of it."""

    schema_version: int = SCHEMA_VERSION
    trial: Trial
    attempt: Positive = 1
    """From 1; a trial whose worker was lost is tried again."""
    invocation: Count = 0
    """Which call of ``bench run`` on this folder made the attempt, from 0."""
    status: Status
    """How it ended."""
    error: Said | None = None
    """Why it did not complete, in one line."""
    log_tail: Said | None = None
    """The last lines that its process wrote, where it did not complete."""
    started_at: Moment | None = None
    """UTC, ISO 8601."""
    wall_s: Seconds | None = None
    """From its dispatch to its end as the driver saw it: what the trial cost."""
    node: str | None = None
    """The host that trained; of several workers, the first's."""
    devices: tuple[str, ...] = ()
    """GPUs by UUID, or TensorFlow's names of the devices."""
    left_out: tuple[LeftOut, ...] = ()
    """GPUs that it was to start on and that were found unfit: it then went to others."""
    warnings: tuple[Said, ...] = ()
    """What was not as it should be and did not keep it from training, a line each."""
    resolved: Annotated[ResolvedSettings, BeforeValidator(_with_numbers)] = {}
    """What TensorFlow was given and chose in the end, in plain data.

    Its texts "NaN", "Infinity" and "-Infinity" are numbers: JSON has no other way to write them.
    """
    measures: Measures = Measures()
    epochs: tuple[EpochRecord, ...] = ()
    health: tuple[HealthRecord, ...] = ()
    """A look at the layers after each epoch that ``health_epochs`` names."""

    @model_validator(mode="after")
    def _in_order(self) -> "TrialRecord":
        for place, epoch in enumerate(self.epochs):
            if epoch.epoch != place:
                raise ValueError(
                    f"epochs[{place}].epoch cannot be {epoch.epoch}: number them in order"
                )
        return self

    @property
    def steady_epochs(self) -> tuple[EpochRecord, ...]:
        """Epochs after the warm-up; the only epoch where there is but one."""
        return tuple(e for e in self.epochs if not e.warmup)

    @property
    def epoch_s(self) -> float | None:
        """Median time of the steady epochs."""
        steady = self.steady_epochs
        return statistics.median(e.epoch_s for e in steady) if steady else None

    @property
    def examples_per_s(self) -> float | None:
        """All examples of the steady epochs over all their time."""
        steady = self.steady_epochs
        seconds = sum(e.epoch_s for e in steady)
        return sum(e.examples for e in steady) / seconds if steady else None

    def time_to_accuracy_s(self) -> float | None:
        """Training time to ``target_accuracy`` on the validation data, without cold start.

        None where no target was set, infinity where it was not reached. A trial that diverged
        did not reach it.
        """
        target = self.trial.variant.target_accuracy
        if target is not None and self.status == "diverged":
            return float("inf")
        if target is None or not self.epochs:
            return None
        elapsed = 0.0
        for e in self.epochs:
            elapsed += e.epoch_s
            if e.val_accuracy is not None and e.val_accuracy >= target:
                return elapsed
        return float("inf")

    def time_to_accuracy_with_cold_start_s(self) -> float | None:
        """The same with the cold start before it; None where either is not known."""
        reached, cold_start_s = self.time_to_accuracy_s(), self.measures.cold_start_s
        return None if reached is None or cold_start_s is None else reached + cold_start_s
