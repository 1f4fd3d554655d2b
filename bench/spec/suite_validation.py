"""The tables of a suite, checked key by key, each value brought to its canonical form.

Usage:
    axes = checked_matrix({"hidden": [[300, 100], [50]]})   # {"hidden": [(300, 100), (50,)]}

Every function raises ValueError with the table, the key and what to write instead.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from bench.spec.axis_validation import check_key, check_setting, is_list_axis
from bench.spec.error_text import error_text, place, value_text
from bench.spec.suggestion import nearest
from bench.spec.variant import AXES

Settings = dict[str, Any]
"""Values by the names of their axes."""

_ONE_VALUE = {
    "variant": "move it to [matrix]",
    "variants": "write a [[variants]] table for each",
    "exclude": "write an [[exclude]] table for each",
    "compare": "write a [[compare]] table for each",
}
"""By table, what to do with several values of an axis."""

_REPEATED = ("variants", "exclude", "compare")


def checked_settings(settings: Mapping[str, Any], where: str) -> Settings:
    """One table of axis settings."""
    if "label" in settings:
        raise ValueError(f"{where}: a label names one variant: give it in [[variants]]")
    try:
        return {key: _checked_value(key, value, where) for key, value in settings.items()}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def checked_matrix(matrix: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """``[matrix]``: a list of values for each axis."""
    return {key: _checked_axis(key, values) for key, values in matrix.items()}


def checked_variants(variants: Iterable[Mapping[str, Any]]) -> list[Settings]:
    """``[[variants]]``: tables of settings that may carry a label."""
    return [_checked_listed(listed, f"variants[{i}]") for i, listed in enumerate(variants)]


def checked_exclude(exclude: Iterable[Mapping[str, Any]]) -> list[Settings]:
    """``[[exclude]]``: tables of settings, none empty, since that would match every cell."""
    rules = list(exclude)
    if {} in rules:
        raise ValueError(f"exclude[{rules.index({})}]: is empty: name a key and its value")
    return [checked_settings(rule, f"exclude[{i}]") for i, rule in enumerate(rules)]


def checked_baseline(axis: str, baseline: Any, where: str) -> Any:
    """The ``baseline`` of a ``[[compare]]`` table: a value of its axis, or a label."""
    if axis != "label":
        return checked_settings({axis: baseline}, where)[axis]
    if not isinstance(baseline, str):
        raise ValueError(f"{where}: baseline must be a label, not {value_text(baseline)}")
    return baseline


def explain(error: ErrorDetails, known: Iterable[str]) -> str:
    """What is wrong with the shape of a suite, and what to write; ``known`` keys of a table."""
    location, kind, value = error["loc"], error["type"], error["input"]
    *table, key = location
    if kind == "missing":
        return f"{error_text(error)}: add {key} = ..."
    if kind == "extra_forbidden":
        return f"{place(table)}: unknown key '{key}'{nearest(str(key), known)}"
    if kind == "list_type" and table == ["matrix"]:
        return f"matrix: {_single_value(str(key), value)}"
    if kind == "list_type" and key in _REPEATED:
        return f"{key} should be a list of tables: write [[{key}]]"
    if kind == "dict_type" and not table:
        return f"{key} should be one table: write [{key}]"
    return error_text(error)


def _single_value(key: str, value: Any) -> str:
    if key not in AXES:
        return f"unknown key '{key}'{nearest(key, AXES)}"
    try:
        check_setting(key, value)
    except ValueError as error:  # in a list, too, it would be refused
        return str(error)
    return f"{key} is a single value: write {key} = [{value_text(value)}], or move it to [variant]"


def _checked_value(key: str, value: Any, where: str) -> Any:
    """What the axis holds; several values at once are refused by where they belong."""
    check_key(key, AXES)
    table = where.partition("[")[0]
    if table in _ONE_VALUE and is_list_axis(key, value):
        for one in value:
            check_setting(key, one)
        raise ValueError(f"{key} takes one value here, not a list: {_ONE_VALUE[table]}")
    return check_setting(key, value)


def _checked_axis(key: str, values: list[Any]) -> list[Any]:
    if not values:
        raise ValueError(f"matrix: {key} is an empty list: give it values, or leave it out")
    return [checked_settings({key: value}, "matrix")[key] for value in values]


def _checked_listed(listed: Mapping[str, Any], where: str) -> Settings:
    label = listed.get("label", "")
    if not isinstance(label, str):
        raise ValueError(f"{where}: label must be text, not {value_text(label)}")
    axes = {key: value for key, value in listed.items() if key != "label"}
    try:
        for key in axes:
            check_key(key, (*AXES, "label"))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return {**checked_settings(axes, where), **({"label": label} if label else {})}
