"""The environment describes machine and software, and never holds secrets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure.environment import (
    container,
    cpu_model,
    environment,
    packages,
)


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_environment_survives_json_unchanged() -> None:
    result = environment()
    assert json.loads(json.dumps(result)) == result


def test_the_environment_describes_the_system_the_processor_and_the_memory() -> None:
    result = environment()
    assert result["os"]["kernel"]
    assert result["os"]["boot"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert result["cpu"]["logical_cores"] >= result["cpu"]["usable_cores"] >= 1
    assert result["memory"]["total_bytes"] > 0


def test_installed_packages_are_listed() -> None:
    assert packages().keys() >= {"trainbench", "tensorflow", "keras", "ray", "numpy", "pandas"}


def test_reading_the_environment_imports_neither_tensorflow_nor_ray() -> None:
    code = (
        "import sys; from bench.measure.environment import environment; environment(); "
        "print({'tensorflow', 'keras', 'ray', 'pandas'} & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_governor_and_turbo_are_read_from_the_kernel(tmp_path: Path) -> None:
    cpus = "sys/devices/system/cpu"
    governor = "cpufreq/scaling_governor"
    files = {f"{cpus}/cpu0/{governor}": "performance\n", f"{cpus}/cpu1/{governor}": "powersave\n"}
    root = _write(tmp_path, {**files, f"{cpus}/intel_pstate/no_turbo": "1\n"})
    cpu = environment(root)["cpu"]
    assert (cpu["governor"], cpu["turbo"]) == ("performance, powersave", False)
    assert environment(_write(tmp_path / "amd", {f"{cpus}/cpufreq/boost": "1"}))["cpu"]["turbo"]


def test_the_governor_and_turbo_are_none_if_the_kernel_lacks_them(tmp_path: Path) -> None:
    cpu = environment(tmp_path)["cpu"]
    assert (cpu["governor"], cpu["turbo"]) == (None, None)


def test_the_name_of_the_processor_is_read_from_the_kernel(tmp_path: Path) -> None:
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
def test_a_container_is_recognized_by_its_traces(
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


def test_the_folders_of_the_library_path_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda/lib64::/home/ann/lib")
    assert environment()["library_path"] == ["/opt/cuda/lib64", "/home/ann/lib"]
    assert "LD_LIBRARY_PATH" not in environment()["variables"]
    monkeypatch.delenv("LD_LIBRARY_PATH")
    assert environment()["library_path"] == []


def test_shared_memory_is_none_without_a_file_system(tmp_path: Path) -> None:
    assert environment(tmp_path)["memory"]["shared_bytes"] is None
    (tmp_path / "dev/shm").mkdir(parents=True)
    assert environment(tmp_path)["memory"]["shared_bytes"] > 0
