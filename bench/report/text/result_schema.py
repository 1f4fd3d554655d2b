"""What ``bench run --json`` and ``bench report --json`` print, as models and as a JSON schema.

    python -m bench.report.text.result_schema > docs/results.schema.json

Numbers are SI and unrounded. What is not known is null; what is infinite, such as the time to a
target that was not reached, is the text "Infinity": JSON has no number for it.
"""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, PlainSerializer
from pydantic.json_schema import models_json_schema

from bench.records.trial_record import Status
from bench.spec.expand import Duplicate

SCHEMA_VERSION = 1
"""To be raised where a field goes or comes to mean something else; new ones may come without."""


def _json_number(value: float) -> float | Literal["Infinity", "-Infinity"]:
    if math.isfinite(value):
        return value
    return "Infinity" if value > 0 else "-Infinity"


Number = Annotated[float, PlainSerializer(_json_number, when_used="json")]


About = Literal["run", "trials", "time", "accuracy", "ratio", "share"]
"""A run as a whole; of a variant its trials, its epoch time and throughput, or its accuracies; a
ratio to a baseline; an efficiency or the share of communication."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True, use_attribute_docstrings=True)


class NoteModel(_Model):
    """What a reader must know before believing a figure."""

    code: str
    """Its name, which stays where its text is put otherwise."""
    about: About
    """What it is said of."""
    text: str


class Interval(_Model):
    """A mean with its 95 % interval."""

    value: Number
    low: Number | None
    """Null where n is 1, as is ``high``."""
    high: Number | None
    n: int
    """Trials, or sessions where there are several."""


class RatioResult(_Model):
    """The epoch time of a variant over that of a baseline, within blocks."""

    axis: str
    baseline: str
    """The baseline's value of the axis."""
    is_baseline: bool
    """Whether the variant is the baseline itself; it has no ratio then."""
    ratio: Number | None
    """Null where no block holds both."""
    low: Number | None
    high: Number | None
    n: int
    """What the interval is over: blocks, or sessions where there are several."""
    blocks: int
    sessions: int
    detectable: Number | None
    """The smallest ratio above 1 that so many blocks as noisy as these find in 9 of 10 cases."""
    further: int | None
    """Blocks, or sessions, to add to find a ratio of 1.05 as often."""
    dropped_blocks: int
    """Left out: not both trials completed."""
    split_blocks: int
    """Left out: the trials ran in different invocations."""
    unsettled_blocks: int
    """Left out: not both trials settled."""
    confounds: tuple[dict[str, JsonValue], ...]
    """What else than the axis differs: key, value, and the baseline's."""
    notes: tuple[NoteModel, ...]


class ShareResult(_Model):
    """How much of what more devices could give they give, or how much communication takes."""

    name: str
    """As ``strong_over_one_device``, or ``communication``."""
    value: Number
    low: Number | None
    high: Number | None
    n: int
    """What the interval is over: blocks, or sessions where there are several."""
    blocks: int
    notes: tuple[NoteModel, ...]


class TargetResult(_Model):
    """The validation accuracy that was asked for, and how soon trials reached it."""

    accuracy: Number
    reached: int
    trials: int
    """Those that completed or diverged."""
    median_s: Number
    """Training time until then; "Infinity" where less than half reached it."""
    time_s: Interval | None
    """Its mean; null unless all reached it."""
    with_cold_start_s: Interval | None


class FailureResult(_Model):
    """Trials of a variant that ended alike without completing."""

    status: Status
    count: int
    reason: str | None


class VariantResult(_Model):
    """A row of the tables."""

    variant_id: str
    label: str
    planned: int
    """Trials."""
    n: int
    """Completed trials."""
    epoch_s: Interval | None
    examples_per_s: Interval | None
    """The examples of an epoch over ``epoch_s``."""
    val_accuracy: Interval | None
    test_accuracy: Interval | None
    replicas: int | None
    """Devices of all workers."""
    examples_per_s_per_device: Interval | None
    """Null in a run without several replicas."""
    nccl_transports: tuple[str, ...]
    """The ways by which NCCL summed."""
    comparisons: tuple[RatioResult, ...]
    """One for each of the run's that the variant is part of."""
    scaling: tuple[ShareResult, ...]
    counts: dict[str, int]
    """What is the same in every trial, such as ``parameters``."""
    means: dict[str, Interval]
    """What else was measured, such as ``cold_start_s``."""
    target: TargetResult | None
    failures: tuple[FailureResult, ...]
    notes: tuple[NoteModel, ...]
    """Of its trials, times and accuracies."""


class RunResults(_Model):
    """All that the tables of a run show."""

    run: str
    """Its folder."""
    name: str
    description: str
    remark: str
    blocks: int
    trials: int
    """Planned."""
    completed: int
    retried: int
    """Attempts that another one replaced."""
    unclassified: int
    """Completed trials whose epochs were too few to tell whether their times had settled."""
    sessions: int
    wall_time_s: dict[str, Number]
    """Where the time went: total_s, and its parts that were measured."""
    variants: tuple[VariantResult, ...]
    """In the order in which the suite names them."""
    duplicates: tuple[Duplicate, ...]
    """Variants of the suite that train like others, and were not run beside them."""
    notes: tuple[NoteModel, ...]
    """How to read all of it."""


class RunDocument(_Model):
    """What ``bench run --json`` prints."""

    schema_version: Literal[1]
    run: str
    """The run folder."""
    succeeded: bool
    """Whether every trial is completed, diverged or unsupported."""
    statuses: dict[Status, int]
    """Trials by how they ended."""
    trials: dict[str, Status]
    """How each trial ended, by its id."""
    results: RunResults


class ReportDocument(_Model):
    """What ``bench report --json`` prints."""

    schema_version: Literal[1]
    files: tuple[str, ...]
    """The files that were written."""
    runs: tuple[RunResults, ...]


def results_schema() -> dict[str, Any]:
    """The JSON schema of both documents; each has its own by its name in ``$defs``."""
    documents = (RunDocument, ReportDocument)
    _, schema = models_json_schema([(model, "serialization") for model in documents])
    either = [{"$ref": f"#/$defs/{model.__name__}"} for model in documents]
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "Results of trainbench", "oneOf": either, **schema}


if __name__ == "__main__":
    print(json.dumps(results_schema(), indent=2))
