"""A run on a Ray of this machine whose cards are a library's; what becomes of it, as JSON.

    python -m tests.support.ray_on_gpus OUT SUITE [TURNS BUSY]

In a process of its own, since the variables that describe the cards are read as it starts. With a
third word, somebody else computes on the card of the first trial once that has ended its first
epoch, and until the run ends.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import bench
from bench.errors import BenchError
from bench.execution.executor import EpochEnd, Event
from bench.execution.null_observer import NullObserver
from bench.execution.ray_backend import ray_executor
from bench.execution.ray_backend.gpus import gpu_quarantine
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.records.run_folder import RunFolder
from bench.records.trial_record import ExcludedGpus
from bench.spec.suite import parse_suite
from tests.cuda.neighbour import neighbour


class Watching(NullObserver):
    """Notes what is left out, and has the neighbour come."""

    def __init__(self, executor: RayExecutor, stack: contextlib.ExitStack, comes: bool) -> None:
        self._executor, self._stack, self._comes = executor, stack, comes
        self.left_out: list[ExcludedGpus] = []

    def event(self, event: Event) -> None:
        if isinstance(event, ExcludedGpus):
            self.left_out.append(event)
        if isinstance(event, EpochEnd) and self._comes:
            self._comes = False
            for card in self._free_cards():
                self._stack.enter_context(neighbour(card))
                return

    def _free_cards(self) -> list[int]:
        """Driver's indices of the cards in the order in which Ray gives them out."""
        taken = {device for left in self.left_out for device in left.devices}
        seen = (gpu for node in self._executor._quarantine._nodes.values() for gpu in node.gpus)
        free = (gpu.uuid for gpu in seen if gpu.uuid and gpu.uuid not in taken)
        return [int(uuid.removeprefix("GPU-")[0]) for uuid in free]


def main(out: str, suite: str, *comes: str) -> dict[str, Any]:
    """Run the suite; return what was recorded, or the error."""
    ray_executor._GPU_FREE_S = gpu_quarantine._START_FREE_S = 0.5
    gpu_quarantine._HOLD_S = 120.0  # on a slow machine, too
    executor = RayExecutor()
    with contextlib.ExitStack() as stack:
        watching = Watching(executor, stack, bool(comes))
        try:
            bench.run(parse_suite(json.loads(suite)), out, executor=executor, observer=watching)
        except BenchError as error:
            return {"error": str(error), "exit_code": error.exit_code}
    folder = RunFolder.open(Path(out))
    (invocation,) = folder.info().invocations
    return {
        "lanes": invocation.lanes,
        "told": [left.model_dump(mode="json") for left in watching.left_out],
        "warnings": invocation.warnings,
        "kept": [left.model_dump(mode="json") for left in invocation.left_out],
        "records": [record.model_dump(mode="json") for record in folder.records(all_attempts=True)],
    }


if __name__ == "__main__":
    print("\n" + json.dumps(main(*sys.argv[1:])))
