"""docs/reference.md: every key, column, status and exit code, from the code itself.

Usage:
    make reference              # python -m docs.generate.reference > docs/reference.md

What a name means is its docstring in the model that has it; what is made from others is told here.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel

from bench.analysis.loading.frame_columns import epoch_columns, health_columns, trial_columns
from bench.records.epoch_record import EpochRecord
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.records.trial_record import FINAL_STATUSES, STATUSES, SUCCESS_STATUSES, TrialRecord
from bench.spec.axis_validation import OWN_WORKLOAD, choices_of
from bench.spec.defaults import fill_defaults
from bench.spec.plan import Trial
from bench.spec.suite import Suite
from bench.spec.variant import AXES, Variant

_FOLLOWS = {
    "jit": "epoch, or step with tfdata and tfrecord; none with a strategy, and on CPUs but for mlp",
    "synchronized": "true with several replicas, unless batch norm is fused",
    "warmup_epochs": "1, or 0 where epochs is 1",
    "global_batch_size": "32 times the replicas",
    "per_replica_batch_size": "32",
    "target_accuracy": "none",
}
"""Defaults that depend on other settings."""

_MADE: dict[str, str] = {
    "per_replica_batch_size": "Examples of a step on each replica: another way to say the global.",
    "trial_id": "Block and variant: unique in a run.",
    "variant_id": "Ten hex digits, equal for settings that train alike.",
    "label": "What tables call the variant.",
    "block": "Repeat of the comparison, from 0; its trials ran close together on the same devices.",
    "order": "Place in the order of the whole plan, which the suite's seed decides, from 0.",
    "seed": "Of weights and shuffles; arms of a block share it.",
    "examples_per_s": (
        "All examples of the steady epochs over all their time: a mean, where epoch_s is a median. "
        "Tables divide the examples of an epoch by epoch_s."
    ),
    "epoch_s": "Median of the steady epochs; of capped ones (`max_steps`), of a whole epoch.",
    "train_loss": "Of the last epoch.",
    "val_accuracy": "Of the last epoch.",
    "time_to_accuracy_s": "Training time until target_accuracy was reached, else infinite.",
    "time_to_accuracy_with_cold_start_s": "The same, cold_start_s before it.",
    "train_s": "Time of all epochs, warm-up included.",
    "steady": "Whether its times settled: flat, warm_up, drifting, unsettled or unclassified.",
    "extrapolated": "Whether an epoch had more steps than were run, for `max_steps`.",
}
_STATUS = {
    "completed": "all epochs were trained",
    "diverged": (
        "the loss, or a weight at the end, was no longer a number; or no step had a finite "
        "gradient, at the smallest loss scale if the loss is scaled"
    ),
    "unsupported": "TensorFlow refused the program, for the reason that is told",
    "out_of_memory": "of the device, the process or the node",
    "timed_out": "over `trial_timeout_s`, without progress for `stall_timeout_s`, or not run in "
    "`placement_timeout_s` for want of devices",
    "worker_lost": "its process or node is gone; tried again (`--retries`)",
    "failed": "anything else that went wrong, with its traceback",
    "interrupted": "ended by Ctrl-C or a signal",
}
_RESUMING = """\
An answer counts as success. `--resume` leaves what stands as it is, and runs the rest and what has
no record; with more `--blocks` than before it extends the run. A suite that differs from the run
folder's in more than that, its description or its time limits is refused. What ran in different
calls is not compared within a block. To try again what stands, delete its file in `trials`."""
_EPOCH = {"examples_per_s": "Examples over time, of this epoch."}
_HEALTH = {
    "layer": "Place in the network, from 0, its input's side first.",
    "clipped_share": "Part of the steps of the epoch before the look that clipping changed.",
    "skipped_share": "Part of those steps that were skipped, their gradient not finite.",
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
"""By the end of a column's name; what is not here is a plain number."""
_RESULTS = (
    "`bench run --json` and `bench report --json` print what the tables show: of each variant its "
    "estimates with their intervals, its ratios, and its notes by `code`, `about` and `text`. "
    "[results.schema.json](results.schema.json) is the JSON schema. Numbers are SI and unrounded. "
    'A null is what is not known, the text `"Infinity"` what is infinite: the time to a target '
    "that was not reached. `schema_version` rises where a field goes or changes its meaning."
)
_EXIT_CODES = {
    0: "done; every trial is completed, diverged or unsupported",
    2: "the command line, the suite, or the resources asked for",
    5: "trials without an answer; data, run folders, the disk, a lost cluster; published tables "
    "that are not what their records give; a fault of this program",
    130: "interrupted; what had finished is kept",
}


def reference() -> str:
    """The whole page as Markdown."""
    defaults = fill_defaults({})
    variant, suite = meanings(Variant), meanings(Suite)
    measures = {**meanings(TrialRecord), **meanings(Trial), **meanings(Measures)}
    parts = [
        "# Reference",
        "Made from the code by `make reference`: do not edit. A null is what was not measured.",
        "## Suites",
        _table(("key", "default", "meaning"), _keys(Suite, suite)),
        "## Axes",
        "Keys of `[variant]`, `[matrix]`, `[[variants]]` and `[[exclude]]`, and of `--set`. One "
        "that cannot act, such as `clip_threshold` where `clip` is none, is accepted and is no "
        "part of the variant's id.",
        _table(
            ("axis", "values", "default", "meaning"),
            (
                (f"`{a}`", _values(a), _FOLLOWS.get(a) or _shown(defaults[a]), _meaning(a, variant))
                for a in AXES
            ),
        ),
        "## Columns of trials",
        "`bench.load_trials`, `trials.csv`: a row a trial, its last attempt.",
        _columns(trial_columns(), {**variant, **measures, **_MADE}),
        "## Columns of epochs",
        "`bench.load_epochs`, `epochs.csv`: a row an epoch.",
        _columns(epoch_columns(), {**_MADE, **_EPOCH, **meanings(EpochRecord)}),
        "## Columns of health",
        "`bench.load_health`: a row a look (`health_epochs`) and layer. Looks are untimed, on 512 "
        "training examples that are the same for all arms; "
        "[methodology.md](methodology.md) has the formulas. Infinite is what is no finite number.",
        _columns(health_columns(), {**_MADE, **_HEALTH, **meanings(HealthRecord)}),
        "## Statuses",
        _RESUMING,
        _table(
            ("status", "what happened", "an answer", "stands"),
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
    """The docstring below each field of ``model``, on one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split()).replace("``", "`")
    return found


def _keys(model: type[BaseModel], known: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        default = "needed" if field.is_required() else _shown(field.default)
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
    """Of a number, from the end of its name."""
    found = (unit for end, unit in _UNITS.items() if name.endswith(end))
    return next(found, "") if dtype.lower() in ("float64", "int64") else ""


def _meaning(name: str, known: Mapping[str, str]) -> str:
    return known.get(name) or _MADE[name]


def _values(axis: str) -> str:
    if axis not in Variant.model_fields:
        return "1 or more"
    annotation = get_type_hints(Variant, include_extras=True)[axis]
    choices = choices_of(annotation)
    more = [f"`{OWN_WORKLOAD}`"] if axis == "workload" else []
    return ", ".join([*choices, *more]) if choices else _KINDS.get(axis, "1 or more")


_KINDS = {
    "hidden": "list of numbers",
    "filters": "list of numbers",
    "shape": "three numbers",
    "health_epochs": "list of numbers from 0 to epochs, or -1",
    "synchronized": "true, false",
    "deterministic": "true, false",
    "clip_threshold": "above 0",
    "learning_rate": "above 0",
    "target_accuracy": "above 0, to 1",
    "classes": "2 or more",
    "warmup_epochs": "0 or more, below epochs",
}


def _shown(value: Any) -> str:
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
