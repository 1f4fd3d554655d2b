"""What ``run.json`` holds: the plan of a run, and each call of ``bench run`` on it.

Usage:
    info = RunFolder.open(path).info()
    info.trial_ids, info.invocations[0].started_at
"""

from pydantic import BaseModel, ConfigDict

from bench.records.field_types import NodeEnvironment, StoredPair, StoredSuite
from bench.records.ranges import Moment, Positive, Seconds, Text
from bench.records.stopping_record import Stopping
from bench.records.trial_record import SCHEMA_VERSION, ExcludedGpus
from bench.spec.device import DeviceType
from bench.spec.expand import Duplicate, Id
from bench.spec.fail_fast_types import FailFastDict, FailFastTuple


class Invocation(BaseModel):
    """One call of ``bench run`` on a folder: when, how and on what it ran."""

    model_config = ConfigDict(frozen=True)

    started_at: Moment
    command: FailFastTuple[Text] = ()
    executor: str
    environment: FailFastDict[NodeEnvironment] = {}
    """The environments of the driver, under "driver", and of each node, under its name."""
    wall_s: Seconds | None = None
    """How long the call took; None if it was killed."""
    lanes: Positive = 1
    """How many trials could run at once."""
    left_out: FailFastTuple[ExcludedGpus] = ()
    """GPUs that the call did not use, from its start or since they were found unfit."""
    warnings: FailFastTuple[str] = ()
    """What made its times doubtful when it started, one line each."""


class RunInfo(BaseModel):
    """The content of ``run.json``."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    suite: StoredSuite
    defaults_for: DeviceType | None = None
    """The type of device for which the variants' defaults were chosen. None before the first call
    knows its devices, and in folders from before ``jit`` depended on them (then as on a GPU)."""
    pairs: FailFastTuple[StoredPair]
    trial_ids: FailFastTuple[Id]
    """In planned order; empty before the first call knows its devices."""
    labels: FailFastDict[str] = {}
    """The label of each variant by its id, in the suite's order."""
    duplicates: FailFastTuple[Duplicate] = ()
    """Variants of the suite that train exactly like others and were therefore not run."""
    invocations: FailFastTuple[Invocation] = ()
    remark: str = ""
    """What else readers must know, such as other load on the machine."""
    stopping: Stopping | None = None
    """How a run with a precision ended; None before its first look, and in runs without one."""
