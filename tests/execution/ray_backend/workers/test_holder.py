"""A holder from the inside: what it reports of its trials, and how each record is completed."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.datasets.synthetic import make_synthetic
from bench.errors import ResourceError
from bench.execution.executor import Limits
from bench.execution.gpus.gpu_fitness import GpuAllotment, GpuSnapshot, UnfitGpus
from bench.execution.ray_backend.workers import held_workers
from bench.execution.ray_backend.workers import holder as module
from bench.execution.ray_backend.workers.block_work import ArmWork, BlockWork, Peers, WorkerSlot
from bench.execution.ray_backend.workers.holder import Holder
from bench.execution.ray_backend.workers.port_guard import PortGuard
from bench.execution.turns.arm_data import ArmData
from bench.execution.turns.arm_run import ArmStart
from bench.execution.turns.coordinator import TurnSettings
from bench.execution.turns.held_arms import HeldArms, PreloaderProgram
from bench.records.trial_failure import TrialFailure
from bench.records.trial_record import TrialRecord
from tests.support.sample_trials import trial_labelled

LIMITS = Limits(trial_timeout_s=60.0, stall_timeout_s=60.0)
SCRIPTED = PreloaderProgram(modules=(), child="tests.support.scripted_child")
ARRAYS = make_synthetic((2, 2, 1), 2, 8)


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Data are handed over as they are, and this process keeps its variables."""
    data = ArmData("synthetic", lambda: ARRAYS)
    monkeypatch.setattr(module, "_data_of", lambda references: [data for _ in references])
    monkeypatch.setattr(held_workers, "HeldArms", functools.partial(HeldArms, SCRIPTED))
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def work_of(*actions: str) -> BlockWork:
    """A block of trials with one worker each."""
    trials = [trial_labelled(action, hidden=[len(action)]) for action in actions]
    arms = tuple(ArmWork(trial, 1, (WorkerSlot(0, 0),)) for trial in trials)
    return BlockWork(arms, TurnSettings(), LIMITS)


def with_gang(work: BlockWork, action: str) -> tuple[BlockWork, ArmWork]:
    """The block with a further trial, of two workers."""
    settings: dict[str, Any] = {"strategy": "multi_worker", "workers": 2, "communication": "none"}
    gang = trial_labelled(action, global_batch_size=64, **settings)
    arm = ArmWork(gang, 1, (WorkerSlot(0, 0), WorkerSlot(0, 1)))
    return BlockWork((arm, *work.arms), work.settings, work.limits), arm


class Held:
    """A holder of a block, with logs in ``folder``; its trials train at once."""

    def __init__(self, folder: Path, work: BlockWork) -> None:
        self.holder, self.work, self.folder = Holder(GpuAllotment()), work, folder
        workers = [(arm, worker) for arm in work.arms for worker in arm.workers_of(0)]
        keys = [(arm.trial.trial_id, worker) for arm, worker in workers]
        several = [key for (arm, _), key in zip(workers, keys, strict=True) if len(arm.slots) > 1]
        self.guards = {key: PortGuard() for key in several}
        self.holder._arms, self.holder._log = work.arms, str(folder / "own.log")
        self.holder._logs = {key: str(folder / f"{i}.log") for i, key in enumerate(keys)}
        self.holder._guards = self.guards
        for log in (self.holder._log, *self.holder._logs.values()):
            Path(log).touch()

    @property
    def data(self) -> list[list[object]]:
        return [[ARRAYS] for _ in self.work.arms]

    @property
    def peers(self) -> Peers:
        addresses: dict[str, tuple[str, ...]] = {}
        for (trial_id, _), guard in self.guards.items():
            addresses[trial_id] = (*addresses.get(trial_id, ()), f"127.0.0.1:{guard.port}")
        return Peers(addresses)

    def events(self, peers: Peers | None = None) -> list[object]:
        """Train the block; nothing is left in the folder."""
        assert self.holder.acquire() is None
        self.holder.begin(self.work, self.data, peers or self.peers)
        events: list[object] = []
        ended = False
        while not ended:
            report = self.holder.report()
            events += report.events
            ended = report.ended
        assert not list(self.folder.iterdir())
        self.close()
        return events

    def close(self) -> None:
        for guard in self.guards.values():
            guard.close()


def records_of(events: Sequence[object]) -> dict[str, TrialRecord]:
    return {e.trial.label: e for e in events if isinstance(e, TrialRecord)}


def test_starts_and_records_are_reported_and_logs_deleted(tmp_path: Path) -> None:
    work = work_of("turns", "abort:goodbye")
    events = Held(tmp_path, work).events()
    starts = [event.trial for event in events if isinstance(event, ArmStart)]
    assert starts == [arm.trial for arm in work.arms]
    completed, lost = (records_of(events)[label] for label in ("turns", "abort:goodbye"))
    assert (completed.status, completed.log_tail) == ("completed", None)
    assert completed.started_at is not None
    assert completed.node == lost.node is not None
    assert completed.resolved["visible_gpus"] == "-1"
    assert completed.resolved["variables"]["OMP_NUM_THREADS"] == "1"
    assert (lost.status, lost.log_tail) == ("worker_lost", "goodbye")


def test_a_trial_that_needs_more_cores_than_there_are_fails_alone(tmp_path: Path) -> None:
    trial = trial_labelled("turns:many", hidden=[7], threads=1000)
    many, one = ArmWork(trial, 1000, (WorkerSlot(0, 0),)), work_of("turns")
    work = BlockWork((many, *one.arms), one.settings, one.limits)
    records = records_of(Held(tmp_path, work).events())
    assert records["turns:many"].status == "failed"
    assert "1000 cores are needed" in (records["turns:many"].error or "")
    assert records["turns"].status == "completed"


def test_workers_of_one_trial_are_an_arm_beside_others(tmp_path: Path) -> None:
    work, gang = with_gang(work_of("turns"), "linger")
    records = records_of(Held(tmp_path, work).events())
    assert {record.status for record in records.values()} == {"completed"}
    assert {record.resolved["turns"] for record in records.values()} == {"window"}
    assert records[gang.trial.label].measures.cpu_s is not None


def test_a_worker_that_dies_costs_only_its_arm_whose_record_has_all_logs(tmp_path: Path) -> None:
    work, gang = with_gang(work_of("turns"), "abort:goodbye")
    records = records_of(Held(tmp_path, work).events())
    assert records["turns"].status == "completed"
    lost = records[gang.trial.label]
    assert lost.status == "worker_lost"
    assert (lost.error or "").endswith("its process crashed with SIGABRT")
    assert lost.log_tail == "[worker 0] goodbye\n[worker 1] goodbye"
    assert lost.started_at is not None


def test_a_trial_whose_workers_cannot_meet_fails_alone(tmp_path: Path) -> None:
    work, gang = with_gang(work_of("turns"), "linger")
    failure = TrialFailure("failed", "name a network")
    records = records_of(
        Held(tmp_path, work).events(Peers(unreachable={gang.trial.trial_id: failure}))
    )
    assert (records["linger"].status, records["linger"].error) == failure
    assert records["turns"].status == "completed"


def test_a_worker_learns_of_its_peers_to_whom_its_port_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("grpc_proxy", "http://proxy")
    monkeypatch.setenv("TF_GRPC_REUSE_PORT", "0")
    work, gang = with_gang(work_of(), "linger")
    admitted: list[str] = []
    monkeypatch.setattr(PortGuard, "admit", lambda _self, hosts: admitted.extend(hosts))
    held = Held(tmp_path, work)
    trial_id = gang.trial.trial_id
    assert held.holder.acquire() is None
    peers = Peers({trial_id: ("10.0.0.1:1", "[fd00::2]:2")})
    assert held.holder.open(work, held.data, peers) == {}
    assert admitted == ["10.0.0.1", "fd00::2"] * 2
    for worker in (0, 1):
        variables = held.holder._workers._setups[trial_id, worker].late_variables
        assert f'"index": {worker}' in (variables["TF_CONFIG"] or "")
        assert variables["TF_GRPC_REUSE_PORT"] == "1"
        assert "10.0.0.1" in (variables["no_proxy"] or "")
    held.holder.close()
    held.close()


def test_if_nothing_can_be_imported_each_trial_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = PreloaderProgram(("tests.support.killed_import",), SCRIPTED.child)
    monkeypatch.setattr(held_workers, "HeldArms", functools.partial(HeldArms, killed))
    events = Held(tmp_path, work_of("turns", "turns:b")).events()
    assert [type(event) for event in events] == [ArmStart, TrialRecord] * 2
    for record in records_of(events).values():
        assert record.status == "worker_lost"
        assert "was killed by SIGKILL" in (record.error or "")


def test_nothing_starts_on_an_unfit_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unfit = UnfitGpus((GpuSnapshot("0", unfit="busy"),))
    monkeypatch.setattr(module, "acquire_gpus", lambda *_: unfit)
    assert Held(tmp_path, work_of("turns")).holder.acquire() == unfit


@pytest.mark.parametrize("gpus", [(), ("0", "1")], ids=["none", "more"])
def test_a_holder_that_ray_gave_another_number_of_gpus_does_not_start(gpus: tuple[str]) -> None:
    holder = Holder(GpuAllotment(gpus=1))
    holder._gpus = gpus
    with pytest.raises(ResourceError):
        holder.acquire()


ACQUIRES = """
import sys
from bench.execution.gpus.gpu_fitness import GpuAllotment
from bench.execution.ray_backend.workers.holder import Holder

holder = Holder(GpuAllotment(gpus=1, free_timeout_s=0.0))
holder._gpus = ("0",)
found = holder.acquire()
print([(gpu.name, gpu.uuid, bool(gpu.unfit)) for gpu in found.gpus])
print("tensorflow" in sys.modules)
"""


@pytest.mark.parametrize(
    ("fake", "uuid"),
    [
        ({"FAKE_NVML_COMPUTING": "1234"}, "GPU-0000aaaa-0000-0000-0000-000000000000"),
        ({"FAKE_GPUS": "0", "FAKE_NVML_FAIL": "nvmlDeviceGetCount_v2=999"}, None),
    ],
    ids=["in use", "the driver is broken"],
)
def test_a_gpu_that_is_unfit_is_named_and_no_tensorflow_is_loaded(
    fake_nvml: Path, fake: dict[str, str], uuid: str | None
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ACQUIRES],
        env={**os.environ, "LD_LIBRARY_PATH": str(fake_nvml), **fake},
        capture_output=True,
        text=True,
        check=True,
    )
    found, loaded = done.stdout.splitlines()
    assert found == str([("0", uuid, True)])
    assert loaded == "False"


def test_what_ends_the_block_is_raised_after_what_came_before_it() -> None:
    holder = Holder(GpuAllotment())
    start = ArmStart(trial_labelled("turns"))
    for event in (start, OSError("disk")):
        holder._events.put(event)
    report = holder.report()
    assert (report.events, report.ended) == ((start,), False)
    with pytest.raises(OSError, match="disk"):
        holder.report()
