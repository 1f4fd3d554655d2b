"""Define the columns of the result tables: their names, order and dtypes.

Names and dtypes come from the models of variants and records, so a setting or a measure that is
added there becomes a column here. ``trial_columns()`` begins with the columns that other programs
rely on; their order never changes.
"""

import functools
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from bench.records.epoch_record import EpochRecord
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.spec.variant import Variant

_STABLE = """
trial_id variant_id label block order seed status error workload dataset examples pipeline
initializer activation norm synchronized clip clip_threshold optimizer learning_rate precision
jit strategy workers replicas global_batch_size epochs warmup_epochs parameters
trainable_parameters cold_start_s data_load_s epoch_s examples_per_s train_loss val_accuracy
test_accuracy time_to_accuracy_s weights_l2 peak_rss_bytes peak_device_memory_bytes energy_j
mean_power_w throttled flops_per_step mfu node devices steady
"""
STABLE_TRIAL_COLUMNS: tuple[str, ...] = tuple(_STABLE.split())
STABLE_EPOCH_COLUMNS: tuple[str, ...] = (
    "trial_id",
    "epoch",
    "warmup",
    "epoch_s",
    "examples_per_s",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
)

TRIAL_COLUMNS = {
    "trial_id": "str",
    "variant_id": "str",
    "label": "str",
    "block": "int64",
    "part": "int64",
    "order": "int64",
    "seed": "int64",
}
RECORD_COLUMNS = {
    "status": "str",
    "error": "str",
    "node": "str",
    "devices": "str",
    "attempt": "int64",
    "invocation": "int64",
    "started_at": "str",
    "wall_s": "float64",
    "log_tail": "str",
}
DERIVED_COLUMNS = {
    "epoch_s": "float64",
    "examples_per_s": "float64",
    "train_loss": "float64",
    "val_accuracy": "float64",
    "time_to_accuracy_s": "float64",
    "time_to_accuracy_with_cold_start_s": "float64",
    "train_s": "float64",
    "steady": "str",
    "extrapolated": "bool",
}
"""Computed from a trial's epochs; ``train_s`` is the time of all of them, warm-up included."""


@functools.cache
def fields_of(model: type[BaseModel]) -> dict[str, str]:
    """Return the dtype of each field of ``model`` as a column.

    A tuple becomes text in TOML notation ("[300, 100]").
    """
    return {name: _dtype(field.annotation) for name, field in model.model_fields.items()}


@functools.cache
def trial_columns() -> dict[str, str]:
    """Return the dtype of each column of ``load_trials``, in order."""
    known = {
        **TRIAL_COLUMNS,
        **RECORD_COLUMNS,
        **fields_of(Variant),
        **fields_of(Measures),
        **DERIVED_COLUMNS,
    }
    return {name: known[name] for name in dict.fromkeys((*STABLE_TRIAL_COLUMNS, *known))}


@functools.cache
def epoch_columns() -> dict[str, str]:
    """Return the dtype of each column of ``load_epochs``, in order; window times have no column."""
    numeric = {name: dtype for name, dtype in fields_of(EpochRecord).items() if dtype != "str"}
    known = {"trial_id": "str", "examples_per_s": "float64", **numeric}
    return {name: known[name] for name in dict.fromkeys((*STABLE_EPOCH_COLUMNS, *known))}


@functools.cache
def health_columns() -> dict[str, str]:
    """Return the dtype of each column of ``load_health``, in order."""
    layers = {"after_epochs": "int64", "layer": "int64", "kind": "str", "depth": "int64"}
    trial = {name: TRIAL_COLUMNS[name] for name in ("trial_id", "variant_id", "label", "block")}
    step_shares = ("clipped_share", "skipped_share")
    numbers = [name for name in HealthRecord.model_fields if name not in layers]
    return {**trial, **layers, **dict.fromkeys((*numbers, *step_shares), "float64")}


def _dtype(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return {"int64": "Int64", "bool": "boolean"}.get(
            inner := _dtype(get_args(annotation)[0]), inner
        )
    if get_origin(annotation) in (Literal, tuple):
        return "str"
    return {int: "int64", bool: "bool", float: "float64"}.get(annotation, "str")
