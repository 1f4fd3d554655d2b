"""Trials that TensorFlow trains in forked processes are those of fresh ones."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bench.datasets.synthetic import make_synthetic
from bench.execution.trial_environment.compilation_cache import compilation_cache
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.protocol.messages import (
    EpochTrained,
    HeartbeatCount,
    Message,
    StartTrial,
    TrialEnd,
    Turn,
)
from bench.protocol.shared_arrays import SharedArrays
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial
from tests.support.processes import wait_until_gone
from tests.support.sample_trials import trial_labelled

pytestmark = pytest.mark.slow

PATIENCE_S = 300.0
SMALL: dict[str, Any] = {
    "dataset": "synthetic",
    "shape": [4, 4, 1],
    "classes": 5,
    "hidden": [16, 8],
    "examples": 700,
    "learning_rate": 0.05,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def shared() -> Iterator[SharedArrays]:
    with SharedArrays(make_synthetic((4, 4, 1), 5, 700)) as arrays:
        yield arrays


@pytest.fixture(scope="module")
def preloader() -> Iterator[PreloaderClient]:
    with PreloaderClient() as client:
        assert client.preloaded.process_start == "fork"
        yield client


class Run:
    """A trial in a process of ``preloader``, with its messages."""

    def __init__(
        self,
        preloader: PreloaderClient,
        shared: SharedArrays,
        trial: Trial,
        log: Path,
        variables: dict[str, str | None] | None = None,
    ) -> None:
        self.process, self.messages = preloader.start(), list[Message]()
        file = os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        start = StartTrial(
            trial=trial,
            data=shared.layout,
            threads=1,
            cores=(min(os.sched_getaffinity(0)),),
            variables=variables or {},
            heartbeat_s=0.05,
        )
        self.process.send(start, [shared.descriptor, file])
        last_epoch = trial.variant.epochs - 1
        self.process.send(Turn(round=None, epoch=last_epoch, until_share=1.0))
        os.close(file)

    def record(self) -> TrialRecord:
        """Return the trial's record, once its process has ended with it."""
        while (message := self.process.receive(PATIENCE_S)) is not None:
            self.messages.append(message)
        assert self.process.exit(PATIENCE_S).code == 0
        last = self.messages[-1]
        assert isinstance(last, TrialEnd)
        return last.record

    def wait_for(self, kind: type[Message]) -> None:
        while not isinstance(self.process.receive(PATIENCE_S), kind):
            pass


def test_a_forked_trial_is_that_of_a_spawned_process(
    preloader: PreloaderClient, shared: SharedArrays, tmp_path: Path
) -> None:
    trial = trial_labelled("a", norm="bn_post", **SMALL)
    forked = [Run(preloader, shared, trial, tmp_path / "log").record() for _ in range(2)]
    modules = ("tests.support.threaded_import",)
    with PreloaderClient(modules=modules) as spawning:
        spawned = Run(spawning, shared, trial, tmp_path / "log").record()
    records = [*forked, spawned]
    assert [record.resolved["process_start"] for record in records] == ["fork", "fork", "spawn"]
    assert [record.status for record in records] == ["completed"] * 3
    assert len({record.measures.weights_l2 for record in records}) == 1
    assert len({record.epochs[-1].train_loss for record in records}) == 1


def test_progress_arrives_while_the_trial_runs(
    preloader: PreloaderClient, shared: SharedArrays, tmp_path: Path
) -> None:
    run = Run(preloader, shared, trial_labelled("a", **SMALL), tmp_path / "log")
    record = run.record()
    epochs = [message.record for message in run.messages if isinstance(message, EpochTrained)]
    counts = [message.count for message in run.messages if isinstance(message, HeartbeatCount)]
    assert tuple(epochs) == record.epochs
    assert counts == sorted(set(counts))
    assert counts
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_training_process_opens_no_port_and_no_named_memory(
    preloader: PreloaderClient, shared: SharedArrays, tmp_path: Path
) -> None:
    endless = trial_labelled("a", **{**SMALL, "epochs": 100_000})
    run = Run(preloader, shared, endless, tmp_path / "log")
    run.wait_for(EpochTrained)
    process = psutil.Process(run.process.pid)
    assert not process.net_connections("inet")
    assert not [m.path for m in process.memory_maps() if m.path.startswith("/dev/shm")]
    process.send_signal(signal.SIGKILL)
    assert run.process.exit(PATIENCE_S).code == -signal.SIGKILL
    assert not process.is_running()


def test_training_processes_end_with_their_preloader(shared: SharedArrays, tmp_path: Path) -> None:
    endless = trial_labelled("a", **{**SMALL, "epochs": 100_000})
    with PreloaderClient() as preloader:
        runs = [Run(preloader, shared, endless, tmp_path / f"{arm}") for arm in range(2)]
        for run in runs:
            run.wait_for(EpochTrained)
        processes = [psutil.Process(run.process.pid) for run in runs]
        psutil.Process(preloader.pid).kill()
        for run in runs:
            ended = run.process.exit(PATIENCE_S)
            assert ended.code == ended.preloader_code == -signal.SIGKILL
    wait_until_gone(processes)


def test_a_cache_in_any_state_changes_no_result(
    preloader: PreloaderClient,
    shared: SharedArrays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    trial = trial_labelled("a", norm="bn_post", **{**SMALL, "epochs": 1})
    expected = Run(preloader, shared, trial, tmp_path / "log").record().measures.weights_l2
    for damage in ("none", "empty", "truncated", "swapped", "0", "1", "2", "3", "none"):
        with compilation_cache({}, 1, repeat=1) as cache:
            variables: dict[str, str | None] = {**cache.for_process().variables}
            record = Run(preloader, shared, trial, tmp_path / "log", variables).record()
        assert (record.status, record.error) == ("completed", None)
        assert record.measures.weights_l2 == expected
        entries = sorted(tmp_path.rglob("*.pb"))
        assert entries
        spoil(entries, damage)


def spoil(entries: list[Path], damage: str) -> None:
    """Damage all entries: a number flips all bits of that quarter of an entry."""
    contents = [entry.read_bytes() for entry in entries]
    for entry, content, other in zip(entries, contents, contents[::-1], strict=True):
        if damage.isdigit():
            flipped, part = np.frombuffer(content, np.uint8).copy(), len(content) // 4
            flipped[int(damage) * part : (int(damage) + 1) * part] ^= 0xFF
            entry.write_bytes(flipped.tobytes())
        elif damage != "none":
            changed = {"empty": b"", "truncated": content[: len(content) // 2], "swapped": other}
            entry.write_bytes(changed[damage])


def test_two_processes_fill_one_cache_at_once(
    preloader: PreloaderClient,
    shared: SharedArrays,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    trial = trial_labelled("a", norm="bn_post", **SMALL)
    for _ in range(2):
        with compilation_cache({}, 1, repeat=1) as cache:
            variables: dict[str, str | None] = {**cache.for_process().variables}
            runs = [
                Run(preloader, shared, trial, tmp_path / f"{arm}", variables) for arm in range(3)
            ]
            records = [run.record() for run in runs]
        assert [record.status for record in records] == ["completed"] * 3
        assert len({record.measures.weights_l2 for record in records}) == 1
