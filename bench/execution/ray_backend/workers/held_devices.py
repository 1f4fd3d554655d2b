"""Prepare this process for the devices that it holds, and say what each trial gets of them.

Usage:
    devices = HeldDevices(names, acquired, allotment, least_cores=8)
    setup = devices.setup(trial, threads=8, log=log)
    record = devices.complete(record, setup)
"""

import dataclasses
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.execution.gpus.autotuning_cache import share_autotuning_cache
from bench.execution.gpus.gpu_code_cache import set_code_cache
from bench.execution.gpus.gpu_fitness import AcquiredGpus, GpuAllotment
from bench.execution.prepared_environment import PreparedEnvironment
from bench.execution.ray_backend.cluster.peer_network import LOOPBACK, nccl_variables
from bench.execution.trial_environment.worker_variables import set_worker_variables
from bench.execution.turns.held_arms import ArmSetup
from bench.measure.cpu_binding import Binding, bind_near, choose_cores, near_cores
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from bench.spec.recorded_variables import recorded_values

_GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


class PeerVariables(NamedTuple):
    """What the process of a worker with peers needs."""

    address: str
    """The IP address on which its peers reach it."""
    tf_config: str
    """TensorFlow's description of all workers, the value of TF_CONFIG."""
    guarded: Mapping[str, str]
    """Variables by which TensorFlow shares its port with a guard."""
    guard: int
    """The descriptor of the guard."""


class HeldDevices:
    """The devices of a block; making one sets this process's variables and binds it to cores.

    ``names`` are Ray's names of the GPUs, ``acquired`` are the same ones. The process runs on the
    cores near them if there are ``least_cores``.
    """

    def __init__(
        self,
        names: Sequence[str],
        acquired: AcquiredGpus,
        allotment: GpuAllotment,
        least_cores: int,
    ) -> None:
        self._names, self._acquired, self._allotment = tuple(names), acquired, allotment
        self._binding = bind_near(acquired.uuids, least_cores)
        not_cached = set_code_cache(os.environ) if acquired.uuids else None
        if acquired.uuids:
            # Otherwise the first arm of a block would take all memory of its GPUs.
            os.environ.setdefault(_GROWTH, "true")
        # Recorded without the cache of kernel choices, whose path says nothing about a trial.
        self._environ = dict(os.environ)
        self._resolved, not_kept = share_autotuning_cache(acquired.uuids)
        self._warnings = (*acquired.warnings, *filter(None, [not_cached, not_kept]))

    @property
    def uuids(self) -> tuple[str, ...]:
        """The GPUs that the driver knows."""
        return self._acquired.uuids

    def variables(self, threads: int, environment: PreparedEnvironment) -> dict[str, str]:
        """Return the variables of a process with as many threads in ``environment``."""
        environ = dict(self._environ)
        set_worker_variables(environ, threads)
        return {**environ, **environment.variables}

    def setup(
        self,
        trial: Trial,
        threads: int,
        log: Path,
        position: int = 0,
        peers: PeerVariables | None = None,
    ) -> ArmSetup:
        """Return what ``trial`` gets; ResourceError if it needs more cores than there are.

        A worker of a trial that has several has ``peers``; ``position`` is its number among those
        on these devices.
        """
        # On GPUs other trials run beside this one, so that only its thread pools are limited.
        own_cores = trial.variant.threads is not None and not self._names
        share = _share(trial, position)
        gpus, near = self._acquired.devices[share], self._near(self.uuids[share], threads)
        late = {"CUDA_VISIBLE_DEVICES": ",".join(self._names[share]) or "-1"}
        if self._acquired.uuids:
            late |= nccl_variables(peers.address if peers else LOOPBACK)
        environment = self._allotment.environment_of(trial.variant)
        environ = self.variables(threads, environment)
        if peers:
            with_peers = dict(self._environ)
            set_worker_variables(with_peers, threads, peers.tf_config)
            with_peers |= environment.variables
            late |= {n: v for n, v in with_peers.items() if environ.get(n) != v}
            late |= peers.guarded
        variables = _changes(self._environ, environ)
        if environment.tensorflow_build is not None:
            # The cache of kernel choices is for the TensorFlow of this process.
            variables.setdefault("XLA_FLAGS", self._environ.get("XLA_FLAGS"))
        modules = environment.modules
        return ArmSetup(
            trial=trial,
            threads=threads,
            log=log,
            variables=variables,
            late_variables=late,
            gpus=() if self._allotment.logical else gpus,
            cores=choose_cores(threads, position) if own_cores else near,
            modules=self._allotment.modules if modules is None else modules,
            position=position,
            kept=(peers.guard,) if peers else (),
            environment=environment,
        )

    def complete(self, record: TrialRecord, setup: ArmSetup) -> TrialRecord:
        """Return ``record`` with where its trial ran, and with what."""
        share = _share(record.trial, setup.position)
        cores = Binding(setup.cores) if setup.cores is not None else self._binding
        allotted = {
            "gpus": setup.gpus,
            "logical_gpus": self._names[share] if self._allotment.logical else (),
            **dataclasses.asdict(cores),
        }
        resolved: dict[str, Any] = {
            **record.resolved,
            **self._resolved,
            "environment": setup.environment.settings(),
            "variables": recorded_values(self.variables(setup.threads, setup.environment)),
            "visible_gpus": setup.late_variables["CUDA_VISIBLE_DEVICES"],
            "allotted": allotted,
        }
        return record.model_copy(
            update={
                "node": socket.gethostname(),
                "resolved": resolved,
                "devices": self.uuids[share] or record.devices,
                "warnings": (*record.warnings, *self._warnings),
            }
        )

    def _near(self, uuids: Sequence[str], least_cores: int) -> tuple[int, ...] | None:
        """Return the cores near some of the GPUs; None if they are those of this process."""
        return None if uuids == self.uuids else near_cores(uuids, least_cores)


def _share(trial: Trial, position: int) -> slice:
    """Return the part of the devices that the worker at ``position`` gets."""
    replicas = trial.variant.replicas
    return slice(position * replicas, (position + 1) * replicas)


def _changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    names = sorted(before.keys() | after.keys())
    return {name: after.get(name) for name in names if before.get(name) != after.get(name)}
