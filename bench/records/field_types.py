"""Check the types of those fields of plain data in a run folder that the package reads.

Usage:
    environment: dict[str, NodeEnvironment]       # stays a plain dict, checked

An environment and a trial's resolved settings have other fields as well, of any type: these are
compared and written unchanged. The fields listed here are read individually.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from bench.records.ranges import Count, encodable
from bench.spec.axes import AXES
from bench.spec.axis_validation import check_key
from bench.spec.fail_fast_types import FailFastDict, FailFastTuple
from bench.spec.pairing import Pair
from bench.spec.suite import Suite


class _Fields(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Os(_Fields):
    name: str | None = None


class _Python(_Fields):
    version: str | None = None


class _Cpu(_Fields):
    model: str | None = None
    logical_cores: Count | None = None
    usable_cores: Count | None = None


class _Memory(_Fields):
    total_bytes: Count | None = None
    limit_bytes: Count | None = None


class _Gpu(_Fields):
    name: str | None = None
    uuid: str | None = None
    memory_bytes: Count | None = None
    instances: "FailFastTuple[_Gpu] | None" = None


class _Driver(_Fields):
    version: str | None = None


class _Source(_Fields):
    commit: str | None = None
    dirty: bool | None = None


class _Environment(_Fields):
    os: _Os | None = None
    python: _Python | None = None
    cpu: _Cpu | None = None
    memory: _Memory | None = None
    gpus: FailFastTuple[_Gpu] = ()
    driver: _Driver | None = None
    gpu_error: str | None = None
    container: str | None = None
    packages: FailFastDict[str] | None = None
    source: _Source | None = None
    variables: FailFastDict[str] | None = None


class _Resolved(_Fields):
    policy: str | None = None
    batch_norm: str | None = None
    window_steps: Count = 0
    nccl_transport: FailFastTuple[str] | None = None


class _KnownKeys(Suite):
    model_config = ConfigDict(extra="ignore")


def _suite(value: dict[str, Any]) -> dict[str, Any]:
    _KnownKeys.model_validate(value)
    return value


def _pair(value: Pair) -> Pair:
    check_key(value.axis, (*AXES, "label"))
    return value


def _environment(value: dict[str, Any]) -> dict[str, Any]:
    _Environment.model_validate(value)
    variables = value.get("variables") or {}
    return {**value, "variables": {name: encodable(text) for name, text in variables.items()}}


def _resolved(value: dict[str, Any]) -> dict[str, Any]:
    _Resolved.model_validate(value)
    return value


NodeEnvironment = Annotated[dict[str, Any], AfterValidator(_environment)]
"""A machine's environment, as ``bench.measure.environment`` returns it."""
ResolvedSettings = Annotated[dict[str, Any], AfterValidator(_resolved)]
"""The settings that a trial resolved."""
StoredSuite = Annotated[dict[str, Any], AfterValidator(_suite)]
"""A suite; its axes are not checked, and keys of later versions are kept."""
StoredPair = Annotated[Pair, AfterValidator(_pair)]
"""Two variants that are compared for an existing axis."""
