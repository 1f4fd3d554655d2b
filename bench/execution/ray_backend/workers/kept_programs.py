"""Let the trials of a block reuse what XLA has compiled in earlier blocks, on a CPU.

Usage:
    with KeptPrograms(devices, trials) as programs:
        setup = programs.extend(devices.setup(...))
        ...                                           # the block trains
        record = programs.complete(record, setup)

A cold start is that of a process that compiles. A trial of a block that found programs has none:
an earlier block, which compiled them, measures it.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Self

from bench.execution.ray_backend.workers.held_devices import HeldDevices
from bench.execution.trial_environment.compilation_cache import CompilationCache, compilation_cache
from bench.execution.turns.held_arms import ArmSetup
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial


class KeptPrograms:
    """The folders of compiled programs of a block, one for each environment and its threads."""

    def __init__(self, devices: HeldDevices, trials: Sequence[Trial]) -> None:
        self._devices, self._repeat = devices, trials[0].block
        self._caches: dict[tuple[int, str], CompilationCache] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def extend(self, setup: ArmSetup) -> ArmSetup:
        """Return ``setup`` with the variables by which its process finds its folder."""
        programs = self._cache(setup).for_process()
        late = {**setup.late_variables, **programs.variables}
        return dataclasses.replace(setup, late_variables=late, empty_folder=programs.empty_folder)

    def complete(self, record: TrialRecord, setup: ArmSetup) -> TrialRecord:
        """Return ``record`` without a cold start if its block found programs."""
        if self._devices.uuids:
            return record
        cache = self._cache(setup)
        measures = record.measures
        if cache.found:
            measures = measures.model_copy(update={"cold_start_s": None})
        warnings = [cache.warning] if cache.warning else []
        return record.model_copy(
            update={
                "measures": measures,
                "resolved": {**record.resolved, "compiled_before": cache.found},
                "warnings": (*record.warnings, *warnings),
            }
        )

    def _cache(self, setup: ArmSetup) -> CompilationCache:
        if self._devices.uuids:
            return CompilationCache()  # XLA keeps no programs of GPUs
        threads, environment = setup.threads, setup.environment
        key = threads, environment.name
        if key not in self._caches:
            environ = self._devices.variables(threads, environment)
            build = environment.tensorflow_build
            cache = compilation_cache(environ, threads, self._repeat, build)
            self._caches[key] = self._stack.enter_context(cache)
        return self._caches[key]
