"""Find settings that differ between two arms beyond what is being compared.

Usage:
    confounds({"norm"}, variant_settings, baseline_settings)
    # (Confound(key="xla", value=True, baseline=False),)

If TensorFlow ran two arms differently for a reason other than the compared axis, their ratio says
nothing about that axis. ``bench.spec.axis_metadata.Axis.implies`` lists what an axis changes by
itself.
"""

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bench.records.resolved_keys import COUNTERS
from bench.spec.axes import AXES

_LIBRARIES = "cuda_libraries.*"
"""Library versions; an arm that does not use a library does not load it, and has None."""


@dataclass(frozen=True)
class Confound:
    """A setting that differs; a value is None if that arm does not have the setting."""

    key: str
    value: Any
    baseline: Any


def confounds(
    axes: Collection[str], variant: Mapping[str, Any], baseline: Mapping[str, Any]
) -> tuple[Confound, ...]:
    """Return the resolved settings that differ although none of ``axes`` implies it."""
    implied = (pattern for axis in axes if axis in AXES for pattern in AXES[axis].implies)
    expected = [*COUNTERS, *implied]
    ours, theirs = _flat(variant), _flat(baseline)
    return tuple(
        Confound(key, ours.get(key), theirs.get(key))
        for key in dict.fromkeys((*ours, *theirs))
        if ours.get(key) != theirs.get(key)
        and not (fnmatch.fnmatchcase(key, _LIBRARIES) and None in (ours.get(key), theirs.get(key)))
        and not any(fnmatch.fnmatchcase(key, pattern) for pattern in expected)
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
