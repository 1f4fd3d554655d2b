"""What a trial's process gets of a holder's devices, and what its record says of them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.execution.gpus.gpu_fitness import AcquiredGpus, GpuAllotment
from bench.execution.gpus.gpu_visibility import set_visible_gpus
from bench.execution.ray_backend.workers import held_devices as module
from bench.execution.ray_backend.workers.held_devices import HeldDevices, PeerVariables
from bench.execution.turns.held_arms import ArmSetup
from bench.records.trial_record import TrialRecord
from tests.support.sample_trials import trial_labelled

UUIDS = tuple(f"GPU-{card}000aaaa-0000-0000-0000-000000000000" for card in range(4))
NAMES = ("0", "1", "2", "3")
PEERS = PeerVariables("127.0.0.1", '{"cluster": {"worker": ["127.0.0.1:1"]}}', {"GUARD": "1"}, 7)
WORKERS = trial_labelled(
    "a", strategy="multi_worker", workers=2, replicas=2, global_batch_size=64, precision="float32"
)


@pytest.fixture(autouse=True)
def same_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The variables of this process stay; a holder's process ends with its block."""
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XLA_FLAGS", "")
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def devices_of(*, logical: bool = False) -> HeldDevices:
    """Four GPUs, of which the driver says nothing more."""
    return HeldDevices(NAMES, AcquiredGpus(UUIDS, UUIDS), GpuAllotment(4, logical), least_cores=1)


def setup_of(devices: HeldDevices, position: int) -> ArmSetup:
    return devices.setup(WORKERS, 1, Path("log"), position, PEERS)


@pytest.mark.parametrize(("position", "first"), [(0, 0), (1, 2)])
def test_each_worker_gets_its_own_gpus(position: int, first: int) -> None:
    devices = devices_of()
    setup = setup_of(devices, position)
    assert setup.gpus == UUIDS[first : first + 2]
    assert setup.late_variables["CUDA_VISIBLE_DEVICES"] == ",".join(NAMES[first : first + 2])
    record = devices.complete(TrialRecord(trial=WORKERS, status="completed"), setup)
    assert record.devices == UUIDS[first : first + 2]
    assert record.resolved["allotted"]["gpus"] == UUIDS[first : first + 2]


def test_gpus_that_are_only_counted_are_not_compared() -> None:
    devices = devices_of(logical=True)
    setup = setup_of(devices, 1)
    assert setup.gpus == ()
    record = devices.complete(TrialRecord(trial=WORKERS, status="completed"), setup)
    assert record.resolved["allotted"]["logical_gpus"] == NAMES[2:]


def test_a_worker_is_bound_to_the_cores_near_its_own_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, int]] = []

    def near(uuids: object, least_cores: int) -> tuple[int, ...]:
        asked.append((uuids, least_cores))
        return (7,)

    monkeypatch.setattr(module, "near_cores", near)
    devices = devices_of()
    setup = setup_of(devices, 1)
    assert asked == [(UUIDS[2:], 1)]
    assert setup.cores == (7,)
    record = devices.complete(TrialRecord(trial=WORKERS, status="completed"), setup)
    assert record.resolved["allotted"]["cores"] == (7,)


def test_what_peers_need_is_set_late_so_that_workers_share_a_preloader() -> None:
    devices = devices_of()
    first, second = (setup_of(devices, position) for position in (0, 1))
    assert first.variables == second.variables
    assert first.late_variables["TF_CONFIG"] == PEERS.tf_config
    assert first.late_variables["GUARD"] == "1"
    assert first.kept == (7,)
    assert first.late_variables["NCCL_SOCKET_IFNAME"] == "=lo"
    record = devices.complete(TrialRecord(trial=WORKERS, status="completed"), first)
    assert "NCCL_SOCKET_IFNAME" not in record.resolved["variables"]


def test_refused_caches_are_warnings_in_the_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "in the way").write_text("")
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path / "in the way"))
    monkeypatch.delenv("CUDA_CACHE_PATH", raising=False)
    monkeypatch.setenv("CUDA_CACHE_MAXSIZE", "7")
    devices = devices_of()
    record = TrialRecord(trial=WORKERS, status="completed")
    record = devices.complete(record, setup_of(devices, 0))
    assert record.resolved["autotune_cache"] is None
    assert len(record.warnings) == 2


@pytest.mark.parametrize(("gpus", "visible"), [((), "-1"), (("2",), "2"), (("2", "3"), "2,3")])
def test_a_process_sees_what_it_was_given_whatever_its_environment_says(
    monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    set_visible_gpus(gpus)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
