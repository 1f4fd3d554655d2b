"""An environment: what a trial's process runs under, as an ``[environments.NAME]`` table says.

Usage:
    environments = checked_environments(suite.environments)     # ValueError for a wrong one
    environments["tf220"].python
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from bench.spec.fail_fast_types import FailFastDict, one_unknown_key
from bench.spec.recorded_variables import recorded_values
from bench.spec.suggestion import near_misses, nearest

DEFAULT_ENVIRONMENT = "default"
"""The environment of the run itself, which no table defines."""

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEVICES = "the run chooses each trial's devices"
_THREADS = "set threads in the environment"
_IMPORTS = "python and revision choose what a trial imports"
_CONTROLLED = {
    "CUDA_VISIBLE_DEVICES": _DEVICES,
    "CUDA_DEVICE_ORDER": _DEVICES,
    "TF_CONFIG": "the run names the workers of a trial",
    "TF_FORCE_GPU_ALLOW_GROWTH": "arms that take turns share their devices' memory",
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), _THREADS),
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), _THREADS),
    **dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH"), _IMPORTS),
}
"""Variables that a run sets for each trial, and what to do instead."""
_CONTROLLED_FAMILIES = ("BENCH_", "RAY_")


class EnvironmentSettings(BaseModel):
    """What a trial's process runs under, where that differs from the run itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: Annotated[str, Field(min_length=1)] | None = None
    """Another interpreter: its path, relative to the suite's file. With ``setup``, relative to that
    file in the worktree."""
    variables: FailFastDict[str | None] = {}
    """Environment variables. A run folder has the values of those that change speed; of others,
    which may be secrets, only the names, with null."""
    revision: Annotated[str, Field(min_length=1)] | None = None
    """A commit, branch or tag of the git repository that the suite's file lies in. A worktree of it
    replaces the modules of custom workloads, and the package ``bench`` if the repository has it."""
    setup: Annotated[str, Field(min_length=1)] | None = None
    """A shell command that runs once in the root of the worktree."""
    setup_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)] = 600.0
    """``setup`` is ended if it takes longer."""
    threads: Annotated[int, Field(ge=1, le=10**12, strict=True)] | None = None
    """The default of the axis ``threads`` in this environment."""

    @model_validator(mode="before")
    @classmethod
    def _unknown_key(cls, value: Any) -> Any:
        return one_unknown_key(cls, value)

    @field_serializer("variables")
    def _without_secrets(self, variables: dict[str, str | None]) -> dict[str, str | None]:
        known = {name: value for name, value in variables.items() if value is not None}
        return {**dict.fromkeys(variables), **recorded_values(known)}

    @property
    def sets(self) -> tuple[str, ...]:
        """What it changes: of python, revision, threads and variables those that are set."""
        return tuple(
            key for key in ("python", "revision", "threads", "variables") if getattr(self, key)
        )


def checked_environments(
    environments: Mapping[str, EnvironmentSettings],
) -> dict[str, EnvironmentSettings]:
    """Check the names and the settings taken together; ValueError names the table and the key."""
    for name, settings in environments.items():
        where = f"environments.{name}"
        if name == DEFAULT_ENVIRONMENT:
            raise ValueError(f"{where}: is the run's own environment: choose another name")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise ValueError(
                f"{where}: should be letters, digits, dots, dashes and underscores, and begin with "
                "a letter or digit"
            )
        if settings.setup is not None and settings.revision is None:
            raise ValueError(f"{where}: setup runs in a worktree: set revision, or drop setup")
        if not settings.sets:
            raise ValueError(f"{where}: sets nothing: add python, variables, revision or threads")
        for variable, value in settings.variables.items():
            _check_variable(where, variable, value)
    return dict(environments)


def check_environment_name(where: str, name: str, known: Iterable[str]) -> None:
    """Raise ValueError if the table ``where`` names an environment that is not ``known``."""
    names = [DEFAULT_ENVIRONMENT, *known]
    if name not in names:
        table = "" if near_misses(name, names) else f", or define [environments.{name}]"
        raise ValueError(f"{where}: environment cannot be {name!r}{nearest(name, names)}{table}")


def _check_variable(where: str, name: str, value: str | None) -> None:
    if not _VARIABLE.fullmatch(name) or "\0" in (value or ""):
        raise ValueError(f"{where}.variables: {name!r} cannot be set: correct its name or value")
    reason = _CONTROLLED.get(name)
    if name.startswith(_CONTROLLED_FAMILIES):
        reason = "it controls the run itself"
    if reason:
        raise ValueError(f"{where}.variables: {name} cannot be set: {reason}: drop it")
