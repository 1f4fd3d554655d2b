"""Which variants of a suite are kept: by id, by label, or by the values of axes.

Usage:
    kept = selected(cells, ["norm=bn_post", "E2 elu"])

An entry is AXIS=VALUE, or AXIS=VALUE,VALUE for either; else a label or the words that it begins
with; else an id or its beginning. Kept are the variants so named, and those that have of each
axis one of the values asked for: names add up, values of one axis add up, axes narrow.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.spec.axis_validation import check_key, check_setting, is_list_axis
from bench.spec.suggestion import near_misses, nearest
from bench.spec.text_values import read_value
from bench.spec.variant import AXES

if TYPE_CHECKING:
    from bench.spec.expand import Cell


def selected(cells: Mapping[str, "Cell"], entries: Iterable[str]) -> dict[str, "Cell"]:
    """The ``cells`` (by id) that the ``entries`` keep, in their order.

    Raises ValueError for an entry that no cell answers to, with what comes near it.
    """
    wanted: dict[str, list[Any]] = {}
    named: set[str] = set()
    for entry in entries:
        if found := _named(entry, cells):
            named |= found
        elif "=" in entry:
            axis, values = _setting(entry, cells.values())
            wanted.setdefault(axis, []).extend(values)
        else:
            raise ValueError(_unknown(entry, cells.values()))
    having = {name for name, cell in cells.items() if wanted and _has(cell, wanted)}
    if wanted and not having:
        raise ValueError(f"no variant has {' and '.join(wanted)} as asked for: ask for less")
    return {name: cell for name, cell in cells.items() if name in named | having}


def _named(entry: str, cells: Mapping[str, "Cell"]) -> set[str]:
    if _is_setting(entry):
        return set()
    labelled = {name for name, cell in cells.items() if _begins(cell.label, entry)}
    return labelled or {name for name in cells if entry and name.startswith(entry)}


def _begins(label: str, entry: str) -> bool:
    """Whether ``label`` is ``entry``, or goes on with another word or value after it."""
    return bool(entry) and f"{label} ".startswith((f"{entry} ", f"{entry},"))


def _is_setting(entry: str) -> bool:
    """Whether it is AXIS=VALUE of a real axis, and not the label of a cell with several."""
    axis, equals, value = entry.partition("=")
    return bool(equals) and "=" not in value and axis.strip() in AXES


def _setting(entry: str, cells: Iterable["Cell"]) -> tuple[str, list[Any]]:
    axis, _, text = entry.partition("=")
    axis, value = axis.strip(), read_value(text.strip())
    check_key(axis, AXES)
    several = value if is_list_axis(axis, value) else [value]
    values = [check_setting(axis, one) for one in several]
    found = [getattr(cell.variant, axis) for cell in cells]
    for one in values:
        if one not in found:
            there = list(dict.fromkeys(map(_text, found)))
            raise ValueError(f"no variant has {axis}={_text(one)}{nearest('', there)}")
    return axis, values


def _has(cell: "Cell", wanted: Mapping[str, Sequence[Any]]) -> bool:
    return all(getattr(cell.variant, axis) in values for axis, values in wanted.items())


def _unknown(entry: str, cells: Iterable["Cell"]) -> str:
    close = near_misses(entry, [cell.label for cell in cells])
    hint = nearest(entry, close) if close else ": bench plan lists both, by --device"
    return f"no variant's id or label begins with '{entry}'{hint}"


def _text(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
