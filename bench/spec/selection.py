"""Select variants of a suite by id, by label, or by the values of axes (``--only``).

Usage:
    selected = select(cells, ["norm=bn_post", "E2 elu"])

An entry is AXIS=VALUE, or AXIS=VALUE,VALUE for either value; else a label or its first words;
else an id or its beginning. The result has the variants that entries name, and those that have
one of the requested values on each axis: names add up, values of one axis add up, axes narrow.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.spec.axes import AXES
from bench.spec.axis_validation import check_key, check_setting, is_list_axis
from bench.spec.suggestion import near_misses, nearest
from bench.spec.text_values import read_value

if TYPE_CHECKING:
    from bench.spec.expand import Cell


def select(cells: Mapping[str, "Cell"], entries: Iterable[str]) -> dict[str, "Cell"]:
    """Return the ``cells`` (by id) that the ``entries`` select, in their order.

    Raises ValueError for an entry that matches no cell, with the nearest names.
    """
    requested: dict[str, list[Any]] = {}
    ids: set[str] = set()
    for entry in entries:
        if matching := _ids_named(entry, cells):
            ids |= matching
        elif "=" in entry:
            axis, values = _setting(entry, cells.values())
            requested.setdefault(axis, []).extend(values)
        else:
            raise ValueError(_unknown(entry, cells.values()))
    if requested:
        narrowed = {id_ for id_, cell in cells.items() if _has(cell, requested)}
        if not narrowed:
            axes = " and ".join(requested)
            raise ValueError(f"no variant has the requested values of {axes}: request fewer axes")
        ids |= narrowed
    return {id_: cell for id_, cell in cells.items() if id_ in ids}


def _ids_named(entry: str, cells: Mapping[str, "Cell"]) -> set[str]:
    if _is_setting(entry):
        return set()
    by_label = {id_ for id_, cell in cells.items() if _starts_with(cell.label, entry)}
    return by_label or {id_ for id_ in cells if entry and id_.startswith(entry)}


def _starts_with(label: str, entry: str) -> bool:
    """Return whether ``label`` is ``entry``, or ``entry`` followed by another word or value."""
    return bool(entry) and f"{label} ".startswith((f"{entry} ", f"{entry},"))


def _is_setting(entry: str) -> bool:
    """Return whether ``entry`` is AXIS=VALUE of one axis, and not a label made of several."""
    axis, equals, value = entry.partition("=")
    return bool(equals) and "=" not in value and axis.strip() in AXES


def _setting(entry: str, cells: Iterable["Cell"]) -> tuple[str, list[Any]]:
    axis, _, text = entry.partition("=")
    axis, value = axis.strip(), read_value(text.strip())
    check_key(axis, AXES)
    values = [check_setting(axis, one) for one in (value if is_list_axis(axis, value) else [value])]
    existing = [getattr(cell.variant, axis) for cell in cells]
    for one in values:
        if one not in existing:
            choices = list(dict.fromkeys(map(_text, existing)))
            raise ValueError(f"no variant has {axis}={_text(one)}{nearest('', choices)}")
    return axis, values


def _has(cell: "Cell", requested: Mapping[str, Sequence[Any]]) -> bool:
    return all(getattr(cell.variant, axis) in values for axis, values in requested.items())


def _unknown(entry: str, cells: Iterable["Cell"]) -> str:
    close = near_misses(entry, [cell.label for cell in cells])
    hint = nearest(entry, close) if close else ": bench plan --device lists both"
    return f"no variant's id or label begins with '{entry}'{hint}"


def _text(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
