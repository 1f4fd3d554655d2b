"""Apply changes from the command line (``--set``) to a suite before it is checked.

Usage:
    content = apply_overrides(content, "global_batch_size", [32, 512], Suite.model_fields)
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from bench.spec.axes import AXES
from bench.spec.axis_groups import BATCH_SIZES
from bench.spec.axis_validation import check_key, is_list_axis


def apply_overrides(
    content: Mapping[str, Any], key: str, value: Any, suite_keys: Iterable[str]
) -> dict[str, Any]:
    """Return the ``content`` of a suite with ``key`` set to ``value``, replacing earlier settings.

    A key of the suite itself is replaced. Any other key is an axis, with or without the prefix
    "variant." or "matrix.": a list becomes that axis of the matrix; a single value holds for every
    variant, and drops comparisons along the axis. Raises ValueError for an unknown key, and for a
    list if the suite lists its variants, which a matrix does not change.
    """
    keys = [k for k in suite_keys if k not in ("variant", "matrix")]
    if is_suite_key(key, value, keys):
        return {**content, key: value}
    if key in ("variant", "matrix"):
        raise ValueError(f"{key} is a table: set one of its keys, such as epochs=2")
    axis = key.removeprefix("variant.").removeprefix("matrix.")
    if axis == "label":
        raise ValueError("a label names one variant: set it in [[variants]] of a file")
    check_key(axis, (*AXES, *keys))
    # The two ways to set the batch size would contradict each other.
    dropped = BATCH_SIZES if axis in BATCH_SIZES else {axis}
    tables = {name: _without(content.get(name, {}), dropped) for name in ("variant", "matrix")}
    variants = content.get("variants", [])
    if isinstance(variants, list):
        variants = [_without(table, dropped) for table in variants]
    varies = axis in AXES and is_list_axis(axis, value)
    if varies and variants:
        raise ValueError(f"{axis} takes one value here: the suite lists its variants one by one")
    target = tables["matrix" if varies else "variant"]
    if isinstance(target, dict):
        target[axis] = value
    compare = content.get("compare", [])
    if isinstance(compare, list) and not varies:
        compare = [one for one in compare if not _is_along(one, dropped)]
    return {**content, **tables, "variants": variants, "compare": compare}


def is_suite_key(key: str, value: Any, suite_keys: Collection[str]) -> bool:
    """Return whether ``key`` with this value is one of ``suite_keys``, not an axis.

    ``precision`` is both: a number is the suite's, the precision of its intervals; a name such as
    "float32" is the axis's, the precision of arithmetic. No value of the axis is a number.
    """
    return key in suite_keys and (key not in AXES or isinstance(value, int | float | None))


def _is_along(comparison: Any, axes: Collection[str]) -> bool:
    return isinstance(comparison, dict) and comparison.get("axis") in axes


def _without(table: Any, keys: Iterable[str]) -> Any:
    if not isinstance(table, dict):
        return table  # Wrong; the check of the suite refuses it.
    return {key: value for key, value in table.items() if key not in keys}
