"""Find settings that differ between two arms beyond what is being compared.

Usage:
    confounds({"norm"}, variant_settings, baseline_settings)
    # (Confound(key="xla", value=True, baseline=False),)
    declared_differences({"environment"}, variant_settings, baseline_settings)
    # (Confound(key="tensorflow", value="2.20.0", baseline="2.21.0"),)

If TensorFlow ran two arms differently for a reason other than the compared axis, their ratio says
nothing about that axis. ``bench.spec.axis_metadata.Axis.implies`` lists what an axis changes by
itself; two environments also change what they declare.
"""

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.records.resolved_keys import COUNTERS
from bench.spec.axes import AXES
from bench.spec.axis_metadata import BY_ENVIRONMENT

_LIBRARIES = "cuda_libraries.*"
"""Library versions; an arm that does not use a library does not load it, and has None."""
_ENVIRONMENT = "environment"
_TOLD = (
    *("python", "numpy", "tensorflow", "keras", "onednn", "intra_op_threads"),
    *("environment.revision*", "workload_source"),
)
"""The differences between environments that a reader must know."""


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
    if _ENVIRONMENT in axes:
        expected += _declared(variant, baseline)
    return tuple(
        c
        for c in _differences(variant, baseline)
        if not (fnmatch.fnmatchcase(c.key, _LIBRARIES) and None in (c.value, c.baseline))
        and not _matches(c.key, expected)
    )


def declared_differences(
    axes: Collection[str], variant: Mapping[str, Any], baseline: Mapping[str, Any]
) -> tuple[Confound, ...]:
    """Return what two compared environments declare and in what they differ; else nothing."""
    if _ENVIRONMENT not in axes:
        return ()
    declared = ["environment.*", *_declared(variant, baseline)]
    told = [*_TOLD, *_variables(variant, baseline)]
    return tuple(
        c
        for c in _differences(variant, baseline)
        if _matches(c.key, told) and _matches(c.key, declared)
    )


def _declared(*arms: Mapping[str, Any]) -> list[str]:
    """Return the keys, as shell patterns, that the arms' environments change by themselves."""
    sets = [key for arm in arms for key in (arm.get(_ENVIRONMENT) or {}).get("sets", ())]
    implied = [pattern for key in sets for pattern in BY_ENVIRONMENT.get(key, ())]
    return [*implied, *_variables(*arms)]


def _variables(*arms: Mapping[str, Any]) -> list[str]:
    """Return the keys of the variables that the arms' environments set."""
    environments = [arm.get(_ENVIRONMENT) or {} for arm in arms]
    return [f"variables.{name}" for each in environments for name in each.get("variables", ())]


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _differences(variant: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[Confound]:
    ours, theirs = _flat(variant), _flat(baseline)
    return [
        Confound(key, ours.get(key), theirs.get(key))
        for key in dict.fromkeys((*ours, *theirs))
        if ours.get(key) != theirs.get(key)
    ]


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
