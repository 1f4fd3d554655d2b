"""Define what ``bench run --json`` and ``bench report --json`` print: models and a JSON schema.

    python -m bench.report.text.result_schema > docs/results.schema.json

Numbers are in SI units and unrounded. An unknown value is null. An infinite value, such as the
time to a target that was not reached, is the text "Infinity", because JSON has no such number.
"""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, PlainSerializer
from pydantic.json_schema import models_json_schema

from bench.records.stopping_record import Rule
from bench.records.trial_record import Status
from bench.spec.expand import Duplicate

SCHEMA_VERSION = 1
"""Increase it when a field is removed or changes its meaning, but not when one is added."""


def _json_number(value: float) -> float | Literal["Infinity", "-Infinity"]:
    if math.isfinite(value):
        return value
    return "Infinity" if value > 0 else "-Infinity"


Number = Annotated[float, PlainSerializer(_json_number, when_used="json")]


About = Literal["run", "trials", "time", "accuracy", "ratio", "share"]
"""The subject of a note: the whole run; a variant's trials, its epoch time and throughput, or its
accuracies; a ratio to a baseline; an efficiency or the share of communication."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


class NoteModel(_Model):
    """What a reader must know before trusting a number."""

    code: str
    """Identifies the note, and stays the same when its text is reworded."""
    about: About
    """The subject of the note."""
    text: str


class Interval(_Model):
    """A mean with its 95 % interval."""

    value: Number
    low: Number | None
    """Null if n is 1, as is ``high``."""
    high: Number | None
    n: int
    """How many trials the mean is over, or sessions if there are several."""


class BlockRatioResult(_Model):
    """The ratio in one block."""

    block: int
    session: int
    ratio: Number


class RatioResult(_Model):
    """The epoch time of a variant over that of a baseline, within blocks."""

    axis: str
    baseline: str
    """The baseline's value of the axis."""
    is_baseline: bool
    """Whether the variant is the baseline itself, and so has no ratio."""
    ratio: Number | None
    """Null if no block has both trials."""
    low: Number | None
    """Null with fewer than 3 blocks, as is ``high``."""
    high: Number | None
    within_sessions_low: Number | None
    """With several sessions, the interval that only the noise within them gives."""
    within_sessions_high: Number | None
    block_ratios: tuple[BlockRatioResult, ...]
    n: int
    """How many blocks the interval is over, or sessions if there are several."""
    blocks: int
    sessions: int
    detectable: Number | None
    """The smallest ratio above 1 that as many, equally noisy blocks detect in 9 of 10 cases."""
    further: int | None
    """How many more blocks, or sessions, would detect a ratio of 1.05 as often."""
    dropped_blocks: int
    """Excluded blocks in which not both trials gave a time."""
    split_blocks: int
    """Excluded blocks whose trials ran in different invocations."""
    unsettled_blocks: int
    """Blocks in which not both trials settled: a mark; they are not excluded."""
    confounds: tuple[dict[str, JsonValue], ...]
    """What differs besides the axis: key, value, and the baseline's value."""
    notes: tuple[NoteModel, ...]


class ShareResult(_Model):
    """A scaling efficiency, or the share of the epoch time that communication takes."""

    name: str
    """Such as ``strong_over_one_device`` or ``communication``."""
    value: Number
    low: Number | None
    high: Number | None
    n: int
    """How many blocks the interval is over, or sessions if there are several."""
    blocks: int
    notes: tuple[NoteModel, ...]


class TargetResult(_Model):
    """The target of the validation accuracy, and how soon trials reached it."""

    accuracy: Number
    reached: int
    trials: int
    """How many trials completed or diverged."""
    median_s: Number
    """Median training time to the target; "Infinity" if less than half of the trials reached it."""
    low_s: Number | None
    """The ends of the median's interval; null below 6 trials and with several sessions."""
    high_s: Number | None
    time_s: Interval | None
    """Mean training time to the target; null unless all trials reached it."""
    with_cold_start_s: Interval | None


class FailureResult(_Model):
    """Trials of a variant that ended with the same status and reason, without completing."""

    status: Status
    count: int
    reason: str | None


class VariantResult(_Model):
    """One variant: a row of the tables."""

    variant_id: str
    label: str
    planned: int
    """How many trials were planned."""
    n: int
    """How many trials completed."""
    epoch_s: Interval | None
    examples_per_s: Interval | None
    """The examples of an epoch over ``epoch_s``."""
    val_accuracy: Interval | None
    test_accuracy: Interval | None
    replicas: int | None
    """How many devices all workers have together."""
    examples_per_s_per_device: Interval | None
    """Null if no trial of the run has several replicas."""
    nccl_transports: tuple[str, ...]
    """The transports that NCCL used."""
    comparisons: tuple[RatioResult, ...]
    """One for each of the run's comparisons that includes the variant."""
    scaling: tuple[ShareResult, ...]
    counts: dict[str, int]
    """Numbers that are the same in every trial, such as ``parameters``."""
    means: dict[str, Interval]
    """Means of secondary metrics, such as ``cold_start_s``."""
    target: TargetResult | None
    failures: tuple[FailureResult, ...]
    notes: tuple[NoteModel, ...]
    """Notes on its trials, times and accuracies."""


class NoiseResult(_Model):
    """How far the ratio of a block varies, pooled over the comparisons of a run."""

    deviation: Number
    """Standard deviation of the logarithm of a block's ratio, within a session."""
    df: int
    """Its degrees of freedom."""
    half_width: Number
    """The half width of an interval to which ``further_blocks`` refers: 0.02 is 2 %."""
    further_blocks: int | None
    """About how many more blocks give that half width; null with fewer than 6 degrees of freedom.
    """


class CoreUseResult(_Model):
    """CPU seconds per second while trials ran: what used the cores."""

    own: Number
    """Of a trial's process."""
    others: Number | None
    """Of all other processes of its node."""
    stolen: Number | None
    """Of other machines of its host."""
    throttled: Number | None
    """Seconds for which a quota throttled threads."""
    largest_taken_share: Number | None
    """Share of a trial's own cores that other work took at least, in the worst trial."""
    trials: int
    """How many trials measured it."""


class ComparedPair(_Model):
    """Two variants that are compared."""

    axis: str
    variant_id: str
    baseline_id: str


class StoppingResult(_Model):
    """The last look of a run that adds blocks until its ratios are precise enough.

    A half width is the upper end of a ratio's interval over the ratio, minus 1.
    """

    rule: Rule | None
    """What ended the run; null if further blocks were to follow."""
    precision: Number
    """The half width that the suite sets."""
    max_blocks: int
    max_time_s: Number | None
    blocks: int
    """Blocks at the time of the look."""
    further_blocks: int
    """Blocks that were to follow."""
    confidence: Number
    """Nominal confidence of each ratio's interval, with which it covers 95 % in such runs."""
    comparisons: int
    """How many comparisons were looked at."""
    left_out: tuple[ComparedPair, ...]
    """Comparisons that were not, because fewer than half of their blocks can be used."""
    deviation: Number | None
    """Standard deviation of a block's log ratio, pooled over the comparisons."""
    df: int | None
    """Degrees of freedom of ``deviation``."""
    half_width: Number | None
    """Half width that ``deviation`` gives the comparison with the fewest blocks."""
    widest: Number | None
    """The largest half width of a comparison by its own standard deviation."""
    widest_pair: ComparedPair | None
    needed_blocks: int | None
    """Blocks in all that would give the precision with this deviation."""


class RunResults(_Model):
    """Everything that the tables of a run show."""

    run: str
    """The run folder."""
    name: str
    description: str
    remark: str
    blocks: int
    trials: int
    """How many trials were planned."""
    completed: int
    retried: int
    """How many attempts were retried."""
    unclassified: int
    """Completed trials with too few epochs to tell whether their times had settled."""
    sessions: int
    wall_time_s: dict[str, Number]
    """Where the time went: total_s, and the parts that were measured."""
    noise: NoiseResult | None
    """Null if no comparison has two blocks in a session."""
    cores: CoreUseResult | None
    """Null if it was not measured."""
    variants: tuple[VariantResult, ...]
    """In the order of the suite."""
    stopping: StoppingResult | None
    """Null in runs without a precision."""
    duplicates: tuple[Duplicate, ...]
    """Variants of the suite that did not run because another variant trains identically."""
    notes: tuple[NoteModel, ...]
    """How to read the results."""


class RunDocument(_Model):
    """What ``bench run --json`` prints."""

    schema_version: Literal[1]
    run: str
    """The run folder."""
    succeeded: bool
    """Whether every trial is completed, diverged or unsupported."""
    statuses: dict[Status, int]
    """How many trials ended with each status."""
    trials: dict[str, Status]
    """The status of each trial, by its id."""
    results: RunResults


class ReportDocument(_Model):
    """What ``bench report --json`` prints."""

    schema_version: Literal[1]
    files: tuple[str, ...]
    """The files that were written."""
    runs: tuple[RunResults, ...]


def results_schema() -> dict[str, Any]:
    """Return the JSON schema of both documents; ``$defs`` has each under its name."""
    documents = (RunDocument, ReportDocument)
    _, schema = models_json_schema([(model, "serialization") for model in documents])
    references = [{"$ref": f"#/$defs/{model.__name__}"} for model in documents]
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "Results of trainbench", "oneOf": references, **schema}


if __name__ == "__main__":
    print(json.dumps(results_schema(), indent=2))
