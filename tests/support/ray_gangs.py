"""Train blocks on two local Ray nodes of one core each, and print their records as JSON.

    python -m tests.support.ray_gangs

In a separate process, because a process can join only one cluster. A block has a trial whose two
workers are on different nodes, and two trials of one worker, which are with the first.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster as Nodes
from ray.util import placement_group_table

from bench.execution.executor import EpochEnd, Event, Limits, TrialStart
from bench.execution.ray_backend.ray_executor import RayExecutor
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Block, Trial, make_plan
from tests.support.gangs import gang_suite
from tests.support.processes import workers_below
from tests.support.sample_suites import SINGLE, suite_of

FEW: dict[str, Any] = {"global_batch_size": 64, "epochs": 3}
SPREAD: dict[str, Any] = {**FEW, "placement": "spread"}
ENDLESS: dict[str, Any] = {**SPREAD, "epochs": 20_000}
Act = Callable[[list[str]], None]
"""Called with the logs of the gang's workers at its first epoch."""


def block_of(**settings: Any) -> list[Trial]:
    """A trial of two workers with these settings, and two of one."""
    alone = [make_plan(suite_of(SINGLE, **FEW, norm=norm)).trials[0] for norm in ("none", "layer")]
    return [alone[0], make_plan(gang_suite(**settings)).trials[0], alone[1]]


def train(executor: RayExecutor, trials: Sequence[Trial], act: Act | None = None) -> Any:
    """Train the trials as one block; return what each became, the gang first."""
    acts, logs = [act] if act else [], list[str]()

    def on_event(event: Event) -> None:
        if isinstance(event, TrialStart) and len(event.logs) > 1:
            logs[:] = event.logs
        elif isinstance(event, EpochEnd) and event.trial_id == gang.trial_id and acts:
            acts.pop()(list(logs))

    gang = next(trial for trial in trials if trial.variant.workers > 1)
    limits = Limits(3600.0, retries=0)
    block = Block(repeat=0, trials=tuple(trials))
    records = list(executor.run([block], limits, on_event))
    groups = {group["state"] for group in placement_group_table().values()}
    return {
        "records": [_brief(record) for record in sorted(records, key=lambda r: r.trial != gang)],
        "left": [process.pid for process in _left()],
        "groups": sorted(groups - {"REMOVED"}),
    }


def _brief(record: TrialRecord) -> dict[str, Any]:
    return {
        "status": record.status,
        "error": record.error,
        "tail": record.log_tail,
        "turns": record.resolved.get("turns"),
        "epochs": len(record.epochs),
        "weights": record.measures.weights_l2,
        "devices": record.devices,
    }


def _left() -> list[psutil.Process]:
    """The trial processes that are left after a few seconds."""
    ends = time.monotonic() + 20
    while (left := workers_below(os.getpid())) and time.monotonic() < ends:
        time.sleep(0.1)
    return left


def kill_worker(logs: list[str]) -> None:
    """Kill the second worker, which is on the other node."""
    for process in workers_below(os.getpid()):
        if str(Path(f"/proc/{process.pid}/fd/1").readlink()) == logs[1]:
            process.kill()


def kill_holder(logs: list[str]) -> None:
    """Kill the holder of the second worker."""
    for process in workers_below(os.getpid()):
        if str(Path(f"/proc/{process.pid}/fd/1").readlink()) == logs[1]:
            _above(process, "ray::Holder").kill()


def _above(process: psutil.Process, name: str) -> psutil.Process:
    (found,) = (each for each in process.parents() if each.cmdline()[0].startswith(name))
    return found


def main() -> None:
    """Each case once."""
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    other = nodes.add_node(num_cpus=1, num_gpus=0)
    nodes.wait_for_nodes()
    results = {}
    with RayExecutor(nodes.address) as executor:
        another = block_of(**SPREAD, norm="layer")[1]
        results["completed"] = train(executor, [*block_of(**SPREAD), another])
        results["alone"] = train(executor, block_of(**SPREAD)[1:2])
        results["killed worker"] = train(executor, block_of(**ENDLESS), kill_worker)
        results["killed holder"] = train(executor, block_of(**ENDLESS), kill_holder)
        results["lost node"] = train(
            executor, block_of(**ENDLESS), lambda _: nodes.remove_node(other, allow_graceful=False)
        )
    ray.shutdown()
    nodes.shutdown()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
