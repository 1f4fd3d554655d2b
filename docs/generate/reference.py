"""Generate docs/reference.md: every key, column, status and exit code, from the code.

Usage:
    make reference              # python -m docs.generate.reference > docs/reference.md

The meaning of a field is its docstring in the model that has it, and an axis also has the metadata
``bench.spec.axis_metadata.Axis``. The meanings of derived columns are here.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from bench.analysis.loading.frame_columns import epoch_columns, health_columns, trial_columns
from bench.records.epoch_record import PER_WINDOW, EpochRecord
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.records.trial_record import FINAL_STATUSES, STATUSES, SUCCESS_STATUSES, TrialRecord
from bench.spec.axes import AXES
from bench.spec.axis_metadata import Axis
from bench.spec.axis_validation import CUSTOM_WORKLOAD_FORM, choices_of
from bench.spec.defaults import fill_defaults
from bench.spec.environments import EnvironmentSettings
from bench.spec.plan import Trial
from bench.spec.suite import Suite
from bench.spec.variant import Variant

_DERIVED: dict[str, str] = {
    "per_replica_batch_size": (
        "Examples of a step on each replica: another way to set the global batch size."
    ),
    "trial_id": "Block and variant: unique in a run.",
    "variant_id": "Ten hex digits, equal for settings that train alike.",
    "label": "Name of the variant in tables.",
    "block": "Repeat of the comparison, from 0; its trials ran close together on the same devices.",
    "order": "Position in the plan, from 0; the suite's seed decides the order.",
    "seed": "Seed of weights and shuffles; the arms of a block share it.",
    "examples_per_s": (
        "All examples of the timed epochs divided by their total time: a mean, while epoch_s is a "
        "median. Tables divide the examples of an epoch by epoch_s."
    ),
    "epoch_s": "Median of the timed epochs; if they are capped (`max_steps`), of a whole epoch.",
    "train_loss": "Training loss of the last epoch.",
    "val_accuracy": "Validation accuracy of the last epoch.",
    "time_to_accuracy_s": "Training time until target_accuracy was reached, or infinite.",
    "time_to_accuracy_with_cold_start_s": "The same, plus cold_start_s.",
    "train_s": "Time of all epochs, including warm-up epochs.",
    "steady": "Whether epoch times settled: flat, warm_up, drifting, unsettled or unclassified. It "
    "excludes nothing.",
    "extrapolated": "Whether `max_steps` left out steps, so that epoch_s is extrapolated.",
}
_STATUS = {
    "completed": "all epochs were trained",
    "diverged": (
        "the loss, or a weight at the end, was no longer a number; or no step had a finite "
        "gradient, at the smallest loss scale if the loss is scaled"
    ),
    "unsupported": "TensorFlow refused the program; the record has the reason",
    "out_of_memory": "the device, the process or the node ran out of memory",
    "timed_out": "over `trial_timeout_s`, no progress for `stall_timeout_s`, or no free devices "
    "within `placement_timeout_s`",
    "worker_lost": "its process or node was lost; retried (`--retries`)",
    "failed": "any other error, with its traceback",
    "interrupted": "stopped by Ctrl-C or a signal",
}
_RESUMING = """\
A success gives an answer. `--resume` keeps trials whose status is final, and runs all others and
those without a record; with more `--blocks` than before it extends the run. It refuses a suite that
differs from the run folder's in more than blocks, description or time limits. Trials of different
invocations are not compared within a block. To repeat a final trial, delete its file in
`trials`."""
_EPOCH = {"examples_per_s": "Examples of the epoch divided by its time."}
_HEALTH = {
    "layer": "Position in the network, from 0, input side first.",
    "clipped_share": "Share of steps that clipping changed, in the epoch before the measurement.",
    "skipped_share": "Share of those steps that were skipped for a gradient that is not finite.",
}
_UNITS = {
    "examples_per_s": "examples/s",
    "bytes_per_step": "B",
    "flops_per_step": "FLOP",
    "_s": "s",
    "_bytes": "B",
    "_j": "J",
    "_w": "W",
}
"""Units by the suffix of a column's name; any other column is a plain number."""
_RESULTS = (
    "`bench run --json` and `bench report --json` print what the tables show: for each variant its "
    "estimates with their intervals, its ratios, and its notes by `code`, `about` and `text`. "
    "[results.schema.json](results.schema.json) is the JSON schema. Numbers are SI and unrounded. "
    'A null is an unknown value. The text `"Infinity"` is an infinite value: the time to a target '
    "that was not reached. `schema_version` rises when a field is removed or changes its meaning."
)
_EXIT_CODES = {
    0: "success; every trial is completed, diverged or unsupported",
    2: "an error of the command line, the suite or the requested resources",
    5: "failed trials; an error of data, run folders, the disk or the cluster; published tables "
    "that do not match their records; a bug",
    130: "interrupted; finished trials are kept",
}


def reference() -> str:
    """Return the whole page as Markdown."""
    defaults = fill_defaults({})
    variant, suite, epochs = meanings(Variant), meanings(Suite), meanings(EpochRecord)
    measures = {**meanings(TrialRecord), **meanings(Trial), **meanings(Measures)}
    parts = [
        "# Reference",
        "Generated from the code by `make reference`: do not edit. A null was not measured.",
        "## Suites",
        _table(("key", "default", "meaning"), _keys(Suite, suite)),
        "Keys of a table `[environments.NAME]`:",
        _table(
            ("key", "default", "meaning"),
            _keys(EnvironmentSettings, meanings(EnvironmentSettings)),
        ),
        "## Axes",
        "Keys of `[variant]`, `[matrix]`, `[[variants]]` and `[[exclude]]`, and of `--set`. An "
        "axis without effect, such as `clip_threshold` if `clip` is none, is accepted and left out "
        "of the variant's id.",
        _table(
            ("axis", "values", "default", "meaning"),
            (
                (
                    f"`{a}`",
                    _values(a, axis),
                    axis.default or _value_text(defaults[a]),
                    _meaning(a, variant),
                )
                for a, axis in AXES.items()
            ),
        ),
        "## Columns of trials",
        "`bench.load_trials`, `trials.csv`: one row per trial, for its last attempt.",
        _columns(trial_columns(), {**variant, **measures, **_DERIVED}),
        "## Columns of epochs",
        "`bench.load_epochs`, `epochs.csv`: one row per epoch.",
        _columns(epoch_columns(), {**_DERIVED, **_EPOCH, **epochs}),
        "## Windows of an epoch",
        "In a record, each epoch has these lists, with one value for each of its windows. With "
        "several workers, they are those of the epoch's slowest worker. Records of earlier "
        "versions have only the first list.",
        _table(
            ("field", "unit", "meaning"),
            ((f"`{n}`", _unit(n, "float64"), epochs[n]) for n in PER_WINDOW),
        ),
        "## Columns of health",
        "`bench.load_health`: one row per measurement (`health_epochs`) and layer. Measurements "
        "are untimed, on 512 training examples that are the same for all arms; "
        "[methodology.md](methodology.md) has the formulas. Values not finite are infinite.",
        _columns(health_columns(), {**_DERIVED, **_HEALTH, **meanings(HealthRecord)}),
        "## Statuses",
        _RESUMING,
        _table(
            ("status", "what happened", "an answer", "final"),
            (
                (f"`{s}`", _STATUS[s], _yes(s in SUCCESS_STATUSES), _yes(s in FINAL_STATUSES))
                for s in STATUSES
            ),
        ),
        "## Results for programs",
        _RESULTS,
        "## Exit codes",
        _table(("code", "meaning"), ((str(c), text) for c, text in _EXIT_CODES.items())),
    ]
    return "\n\n".join(parts) + "\n"


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring below each field of ``model`` and of its bases, on one line."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            texts |= _own_meanings(base)
    return texts


def _own_meanings(model: type[BaseModel]) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    texts[field.target.id] = " ".join(text.split()).replace("``", "`")
    return texts


def _keys(model: type[BaseModel], known: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _value_text(field.default)
        yield f"`{name}`", default, known[name]


def _columns(columns: Mapping[str, str], known: Mapping[str, str]) -> str:
    return _table(
        ("column", "type", "unit", "meaning"),
        (
            (f"`{name}`", dtype, _unit(name, dtype), _meaning(name, known))
            for name, dtype in columns.items()
        ),
    )


def _unit(name: str, dtype: str) -> str:
    """Return the unit of a numeric column, from the suffix of its name."""
    units = (unit for suffix, unit in _UNITS.items() if name.endswith(suffix))
    return next(units, "") if dtype.lower() in ("float64", "int64") else ""


def _meaning(name: str, known: Mapping[str, str]) -> str:
    return known.get(name) or _DERIVED[name]


def _values(name: str, axis: Axis) -> str:
    field = Variant.model_fields.get(name)
    choices = choices_of(field.annotation) if field else []
    custom = [f"`{CUSTOM_WORKLOAD_FORM}`"] if name == "workload" else []
    return ", ".join([*choices, *custom]) or axis.values


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value in ("", None) or value in ([], {}, ()):
        return "none"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    print(reference(), end="")
