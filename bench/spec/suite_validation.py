"""Check the tables of a suite key by key, and bring each value to its canonical form.

Usage:
    axes = checked_matrix({"hidden": [[300, 100], [50]]})   # {"hidden": [(300, 100), (50,)]}

Each function raises ValueError with the table, the key and what to write instead.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from bench.spec.axes import AXES
from bench.spec.axis_validation import check_key, check_setting, is_list_axis
from bench.spec.error_text import error_text, location_text, value_text
from bench.spec.suggestion import nearest

Settings = dict[str, Any]
"""Values by axis."""

_SINGLE_VALUE_REMEDY = {
    "variant": "move it to [matrix]",
    "variants": "write a [[variants]] table for each",
    "exclude": "write an [[exclude]] table for each",
    "compare": "write a [[compare]] table for each",
}
"""By table: where several values of an axis belong."""

_REPEATED_TABLES = ("variants", "exclude", "compare")


def checked_settings(settings: Mapping[str, Any], where: str) -> Settings:
    """Check a table of axis settings."""
    if "label" in settings:
        raise ValueError(f"{where}: a label names one variant: set it in [[variants]]")
    try:
        return {key: _checked_value(key, value, where) for key, value in settings.items()}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def checked_matrix(matrix: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Check ``[matrix]``: a list of values for each axis."""
    return {key: _checked_axis(key, values) for key, values in matrix.items()}


def checked_variants(variants: Iterable[Mapping[str, Any]]) -> list[Settings]:
    """Check ``[[variants]]``: tables of settings with an optional label."""
    return [_checked_variant(table, f"variants[{i}]") for i, table in enumerate(variants)]


def checked_exclude(exclude: Iterable[Mapping[str, Any]]) -> list[Settings]:
    """Check ``[[exclude]]``: tables of settings. An empty one is refused: it matches all cells."""
    rules = list(exclude)
    if {} in rules:
        raise ValueError(f"exclude[{rules.index({})}]: is empty: name a key and its value")
    return [checked_settings(rule, f"exclude[{i}]") for i, rule in enumerate(rules)]


def checked_baseline(axis: str, baseline: Any, where: str) -> Any:
    """Check the ``baseline`` of a ``[[compare]]`` table: a value of its axis, or a label."""
    if axis != "label":
        return checked_settings({axis: baseline}, where)[axis]
    if not isinstance(baseline, str):
        raise ValueError(f"{where}: baseline must be a label, not {value_text(baseline)}")
    return baseline


def explain(error: ErrorDetails, known: Iterable[str]) -> str:
    """Return what is wrong with the structure of a suite; ``known`` are the keys of the table."""
    location, kind, value = error["loc"], error["type"], error["input"]
    *table, key = location
    if kind == "missing":
        return f"{error_text(error)}: add {key} = ..."
    if kind == "extra_forbidden":
        return f"{location_text(table)}: unknown key '{key}'{nearest(str(key), known)}"
    if kind == "list_type" and table == ["matrix"]:
        return f"matrix: {_single_value(str(key), value)}"
    if kind == "list_type" and key in _REPEATED_TABLES:
        return f"{key} should be a list of tables: write [[{key}]]"
    if kind == "dict_type" and not table:
        return f"{key} should be one table: write [{key}]"
    return error_text(error)


def _single_value(key: str, value: Any) -> str:
    if key not in AXES:
        return f"unknown key '{key}'{nearest(key, AXES)}"
    try:
        check_setting(key, value)
    except ValueError as error:  # invalid in a list, too
        return str(error)
    return f"{key} is a single value: write {key} = [{value_text(value)}], or move it to [variant]"


def _checked_value(key: str, value: Any, where: str) -> Any:
    """Return the value as the axis holds it; refuse several values with where they belong."""
    check_key(key, AXES)
    table = where.partition("[")[0]
    if table in _SINGLE_VALUE_REMEDY and is_list_axis(key, value):
        for one in value:
            check_setting(key, one)
        raise ValueError(f"{key} takes one value here, not a list: {_SINGLE_VALUE_REMEDY[table]}")
    return check_setting(key, value)


def _checked_axis(key: str, values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError(f"matrix: {key} is an empty list: write values, or leave it out")
    return [checked_settings({key: value}, "matrix")[key] for value in values]


def _checked_variant(table: Mapping[str, Any], where: str) -> Settings:
    label = table.get("label", "")
    if not isinstance(label, str):
        raise ValueError(f"{where}: label must be text, not {value_text(label)}")
    axes = {key: value for key, value in table.items() if key != "label"}
    try:
        for key in axes:
            check_key(key, (*AXES, "label"))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return {**checked_settings(axes, where), **({"label": label} if label else {})}
