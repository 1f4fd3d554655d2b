"""What is recorded of the machine and the software, and what never is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.environment import (
    FAMILIES,
    VARIABLES,
    container,
    cpu_model,
    environment,
    packages,
    variables,
)


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_environment_survives_json_unchanged() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found


def test_it_names_the_system_the_processor_and_the_memory() -> None:
    found = environment()
    assert found["os"]["kernel"]
    assert found["os"]["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found["cpu"]["logical_cores"] >= found["cpu"]["usable_cores"] >= 1
    assert found["memory"]["total_bytes"] > 0


def test_the_packages_are_those_installed() -> None:
    assert packages().keys() >= {"trainbench", "tensorflow", "keras", "ray", "numpy", "pandas"}


def test_looking_at_the_environment_imports_neither_tensorflow_nor_ray() -> None:
    code = (
        "import sys; from bench.measure.environment import environment; environment(); "
        "print({'tensorflow', 'keras', 'ray', 'pandas'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_variables_that_change_speed_are_kept() -> None:
    kept = {"TF_XLA_FLAGS": "a", "OMP_NUM_THREADS": "2", "NCCL_P2P_DISABLE": "1", "XLA_FLAGS": ""}
    assert variables(kept) == kept


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "NCCL_AUTH_TOKEN", "TF_CONFIG", "TF_API_TOKEN", "HOME"]
)
def test_secrets_and_addresses_are_not(name: str) -> None:
    assert variables({name: "x"}) == {}


_NAMES = st.one_of(
    st.text(min_size=1),
    st.sampled_from(sorted(VARIABLES)),
    st.builds(
        "".join, st.tuples(st.sampled_from(FAMILIES), st.sampled_from(["A", "KEY", "X_TOKEN"]))
    ),
)


@given(st.dictionaries(_NAMES, st.text()))
def test_nothing_off_the_list_is_recorded_and_nothing_on_it_lost(every: dict[str, str]) -> None:
    kept = variables(every)
    assert all(name in VARIABLES or name.startswith(FAMILIES) for name in kept)
    assert not any("KEY" in name or "TOKEN" in name for name in kept)
    assert kept.items() >= {(name, every[name]) for name in every.keys() & VARIABLES}
    assert kept.items() <= every.items()


def test_the_governor_and_turbo_are_read_where_the_kernel_has_them(tmp_path: Path) -> None:
    cpus = "sys/devices/system/cpu"
    governor = "cpufreq/scaling_governor"
    files = {f"{cpus}/cpu0/{governor}": "performance\n", f"{cpus}/cpu1/{governor}": "powersave\n"}
    root = _write(tmp_path, {**files, f"{cpus}/intel_pstate/no_turbo": "1\n"})
    found = environment(root)["cpu"]
    assert (found["governor"], found["turbo"]) == ("performance, powersave", False)
    assert environment(_write(tmp_path / "amd", {f"{cpus}/cpufreq/boost": "1"}))["cpu"]["turbo"]


def test_governor_and_turbo_are_none_where_it_does_not(tmp_path: Path) -> None:
    found = environment(tmp_path)["cpu"]
    assert (found["governor"], found["turbo"]) == (None, None)


def test_the_processors_name_is_the_kernels(tmp_path: Path) -> None:
    text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9B14\n"
    assert cpu_model(_write(tmp_path, {"proc/cpuinfo": text})) == "AMD EPYC 9B14"


@pytest.mark.parametrize(
    ("files", "variable", "kind"),
    [
        ({".dockerenv": ""}, None, "docker"),
        ({"run/.containerenv": ""}, None, "podman"),
        ({"proc/1/cgroup": "0::/kubepods.slice/pod1"}, None, "kubepods"),
        ({}, "KUBERNETES_SERVICE_HOST", "kubernetes"),
        ({}, "APPTAINER_CONTAINER", "apptainer"),
        ({"proc/1/cgroup": "0::/init.scope"}, None, None),
    ],
)
def test_a_container_is_known_by_what_it_leaves_about(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    variable: str | None,
    kind: str | None,
) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    assert container(_write(tmp_path, files)) == kind


def test_the_loaders_folders_are_listed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda/lib64::/home/ann/lib")
    assert environment()["library_path"] == ["/opt/cuda/lib64", "/home/ann/lib"]
    assert "LD_LIBRARY_PATH" not in environment()["variables"]
    monkeypatch.delenv("LD_LIBRARY_PATH")
    assert environment()["library_path"] == []


def test_shared_memory_is_none_where_there_is_none(tmp_path: Path) -> None:
    assert environment(tmp_path)["memory"]["shared_bytes"] is None
    (tmp_path / "dev/shm").mkdir(parents=True)
    assert environment(tmp_path)["memory"]["shared_bytes"] > 0
