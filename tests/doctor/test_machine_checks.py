"""From facts to findings: each kind of fault is named, with what mends it."""

from pathlib import Path
from typing import Any

import pytest

from bench.datasets.fashion_mnist import FileCheck
from bench.doctor.machine_checks import (
    Check,
    data_check,
    disk_check,
    machine_checks,
    python_checks,
    ray_check,
    tensorflow_checks,
    variables_check,
)
from tests.support.sample_nodes import card, node

GIB = 2**30
MEMORY = {
    "total_bytes": 16 * GIB,
    "available_bytes": 8 * GIB,
    "limit_bytes": None,
    "shared_bytes": 8 * GIB,
}


def _facts(**changed: Any) -> dict[str, Any]:
    return {
        "python": {"version": "3.11.7", "kind": "CPython"},
        "cpu": {"model": "EPYC", "usable_cores": 2, "logical_cores": 4},
        "memory": MEMORY,
        "container": None,
        "gpus": [],
        "driver": None,
        "gpu_error": None,
        "packages": {"tensorflow": "2.21.0", "keras": "3.15.1", "ray": "2.60.0"},
        "variables": {},
        **changed,
    }


def _reply(**changed: Any) -> dict[str, Any]:
    return {
        "error": None,
        "tensorflow": "2.21.0",
        "keras": "3.15.1",
        "keras_backend": "tensorflow",
        "cuda_build": True,
        "cuda": "12.5.1",
        "cudnn": "9",
        "onednn": True,
        "gpus": [],
        "xla": None,
        "strategies": {"one_device": None, "mirrored": None, "multi_worker": None},
        **changed,
    }


def _check_of(checks: list[Check], name: str) -> Check:
    (match,) = [check for check in checks if check.name == name]
    return match


def test_a_working_machine_passes_all_checks() -> None:
    facts = _facts()
    checks = [*machine_checks(facts), *tensorflow_checks(_reply(), facts)]
    assert {check.state for check in checks} == {"ok"}
    assert all(check.remedy is None for check in checks)


def test_little_memory_is_a_fault_whether_free_or_allowed() -> None:
    low = {**MEMORY, "available_bytes": GIB}
    limited = {**MEMORY, "limit_bytes": GIB}
    for memory in (low, limited):
        check = _check_of(machine_checks(_facts(memory=memory)), "Memory")
        assert check.state == "broken"
        assert check.remedy and "training needs 2.1 GB" in check.remedy


@pytest.mark.parametrize(
    ("size_bytes", "states"), [(64 * 2**20, ["broken"]), (8 * GIB, ["ok"]), (None, [])]
)
def test_a_container_s_small_shared_memory_is_a_fault(
    size_bytes: int | None, states: list[str]
) -> None:
    checks = machine_checks(_facts(memory={**MEMORY, "shared_bytes": size_bytes}))
    match = [check for check in checks if check.name == "Shared memory"]
    assert [check.state for check in match] == states
    assert all("--shm-size" in str(check.remedy) for check in match if check.state == "broken")


def test_a_container_needs_no_virtual_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", "/usr")
    monkeypatch.setattr("sys.base_prefix", "/usr")
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    states = {
        container: _check_of(
            python_checks(_facts(container=container)), "Virtual environment"
        ).state
        for container in (None, "docker")
    }
    assert states == {None: "missing", "docker": "ok"}


@pytest.mark.parametrize(
    ("reply", "state", "words"),
    [
        ({"error": "ModuleNotFoundError: No module named 'tensorflow'"}, "missing", "make install"),
        ({"error": "its process was killed by SIGILL", "signal": "SIGILL"}, "broken", "AVX"),
        ({"error": "ImportError: libfoo.so"}, "broken", "reinstall it"),
        ({"error": "no answer within 180 s", "timed_out": True}, "broken", "nvidia-smi"),
        (_reply(keras_backend="jax"), "broken", "KERAS_BACKEND"),
        ({"error": "ModuleNotFoundError: No module named 'torch'"}, "broken", "KERAS_BACKEND"),
        (
            {"error": "XLA_FLAGS is not understood (--no): unset it", "refused_flags": True},
            "broken",
            "unset it",
        ),
    ],
)
def test_a_tensorflow_that_cannot_be_used_says_why(
    reply: dict[str, Any], state: str, words: str
) -> None:
    check = _check_of(tensorflow_checks(reply, _facts()), "TensorFlow")
    assert check.state == state
    assert check.remedy and words in check.remedy


def test_a_variable_that_contradicts_suites_is_a_fault_and_none_is_not() -> None:
    match = variables_check("KERAS_BACKEND=jax, but trials train with TensorFlow: unset it")
    assert (match.state, match.remedy) == ("broken", "unset it")
    assert variables_check(None).state == "ok"


def test_two_installed_tensorflows_are_a_fault() -> None:
    packages = {"tensorflow": "2.21.0", "tensorflow-cpu": "2.21.0"}
    check = _check_of(tensorflow_checks(_reply(), _facts(packages=packages)), "TensorFlow")
    assert check.state == "broken"


def test_a_failing_compilation_or_strategy_is_reported_with_tensorflow_s_reason() -> None:
    strategies = {"one_device": None, "mirrored": "InternalError: NCCL", "multi_worker": None}
    checks = tensorflow_checks(_reply(xla="NotFoundError: ptxas", strategies=strategies), _facts())
    assert _check_of(checks, "XLA").finding == "NotFoundError: ptxas"
    match = _check_of(checks, "Strategies").finding
    assert match == "one_device, multi_worker work; mirrored: InternalError: NCCL"


def test_a_wrong_result_is_the_device_s_fault_and_not_the_installation_s() -> None:
    wrong = "ArithmeticError: a result is 0.0, not 8.0"
    strategies = {"one_device": wrong, "mirrored": wrong, "multi_worker": None}
    checks = tensorflow_checks(_reply(xla=wrong, strategies=strategies), _facts())
    for name in ("XLA", "Strategies"):
        check = _check_of(checks, name)
        assert check.state == "broken"
        assert check.remedy and "driver" in check.remedy and "install" not in check.remedy

    strategies["mirrored"] = "InternalError: NCCL"
    both = _check_of(
        tensorflow_checks(_reply(strategies=strategies), _facts()), "Strategies"
    ).remedy
    assert both and "driver" in both and "do not use mirrored" in both


def _files(folder: Path, name: str, *problems: str | None) -> list[FileCheck]:
    return [FileCheck(folder / str(i), name, p is None, p) for i, p in enumerate(problems)]


def test_one_complete_copy_of_the_data_is_enough(tmp_path: Path) -> None:
    files = [*_files(tmp_path / "a", "a", "no such folder"), *_files(tmp_path, "b", None, None)]
    assert data_check(files) == Check("Fashion-MNIST", "ok", f"b: {tmp_path}")


def test_absent_data_is_missing_and_a_damaged_copy_is_broken(tmp_path: Path) -> None:
    files = _files(tmp_path, "a", "is damaged", None)
    assert data_check(files).state == "missing"
    assert "BENCH_CACHE_DIR" in (data_check(files, cache_writable=False).remedy or "")
    (tmp_path / "0").touch()
    check = data_check(files)
    assert (check.state, check.remedy) == ("broken", "bench data fetch --force")
    assert check.finding == f"{tmp_path / '0'} is damaged"


def _node(**packages: str) -> dict[str, Any]:
    return {**node(card(0)), "cpu": {"usable_cores": 8}, "packages": packages}


def test_a_cluster_of_equal_nodes_is_counted() -> None:
    nodes = {"a": _node(ray="2.60.0"), "b": _node(ray="2.60.0")}
    check = ray_check({"error": None, "nodes": nodes}, "head:6379")
    assert check == Check(
        "Ray", "ok", "the cluster at head:6379 works (nodes: 2, cores: 16, GPUs: 2)"
    )


def test_nodes_of_different_versions_are_a_fault() -> None:
    nodes = {"a": _node(tensorflow="2.21.0"), "b": _node(tensorflow="2.20.0")}
    check = ray_check({"error": None, "nodes": nodes}, "head:6379")
    assert check.state == "broken"
    assert "tensorflow (2.20.0, 2.21.0)" in check.finding


def test_a_node_whose_gpus_cannot_train_is_a_fault_of_the_cluster() -> None:
    cpu = {"usable_cores": 8}
    nodes = {
        "sound": node(card(0), cpu=cpu),
        "old": node(card(0), cuda="12.4", cpu=cpu),
        "dead": node(gpu_error="the NVIDIA driver does not answer: reboot", cpu=cpu),
    }
    check = ray_check({"error": None, "nodes": nodes}, "head:6379")
    assert check.state == "broken"
    assert "node old" in check.finding and "node dead" in check.finding
    assert "node sound" not in check.finding
    assert check.remedy and "CUDA 12.5" in check.remedy and "reboot" in check.remedy
    # A local Ray's node is this machine, which has a check of its own.
    assert ray_check({"error": None, "nodes": {"old": nodes["old"]}}, None).state == "ok"


def test_an_expected_failure_of_ray_has_a_remedy_and_another_names_the_logs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = {"error": "nothing answers at h:1: start Ray there", "expected": True}
    assert ray_check(expected, "h:1").remedy == "start Ray there"
    sudden = {"error": "RuntimeError: no port: 1"}
    check = ray_check(sudden, None)
    assert check.finding == "a local start failed: RuntimeError: no port: 1"
    monkeypatch.setenv("RAY_TMPDIR", "/scratch")
    moved = ray_check(sudden, None)
    assert moved.remedy and "/scratch/ray-" in moved.remedy
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.delenv("TMPDIR", raising=False)
    check = ray_check(sudden, None)
    assert check.remedy and "/tmp/ray-" in check.remedy


def test_results_need_space_and_a_writable_folder() -> None:
    assert disk_check("r", 50 * GIB, True).state == "ok"
    assert disk_check("r", GIB // 2, True).state == "broken"
    assert disk_check("r", 50 * GIB, False).finding == "r cannot be written"
