"""Check the files in clusters/ without the clusters that they are for.

Launcher files go through Ray's own loader. kuberay.yaml is held against the fields of KubeRay's
API reference for ray.io/v1 (RayJobSpec, RayClusterSpec, HeadGroupSpec, WorkerGroupSpec,
AuthOptions; KubeRay 1.5) and of Kubernetes' API reference for v1 (PodSpec, Container and what
they hold), as far as the file uses them. No schema of theirs is kept here.
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.nodes import health_checks, lost_within_s
from tests.support.paths import ROOT

CLUSTERS = ROOT / "clusters"
LAUNCHER = ("local", "onprem", "aws", "gcp")

RAY_JOB = {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "submissionMode"}
RAY_JOB |= {"submitterConfig", "rayClusterSpec", "ttlSecondsAfterFinished", "runtimeEnvYAML"}
RAY_CLUSTER = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
HEAD_GROUP = {"rayStartParams", "template", "serviceType", "resources", "labels"}
WORKER_GROUP = HEAD_GROUP - {"serviceType"} | {"groupName", "replicas", "minReplicas"}
WORKER_GROUP |= {"maxReplicas", "numOfHosts"}
POD = {"containers", "volumes", "securityContext", "nodeSelector", "tolerations"}
CONTAINER = {"name", "image", "workingDir", "env", "resources", "volumeMounts"}


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    """The versions in constraints.txt, by package."""
    lines = (CLUSTERS.parent / "constraints.txt").read_text().splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {name.lower(): version for name, _, version in pairs}


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    """The RayJob of kuberay.yaml."""
    _, job = yaml.safe_load_all((CLUSTERS / "kuberay.yaml").read_text())
    assert isinstance(job, dict)
    return job


def launcher_file(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CLUSTERS / f"{name}.yaml").read_text())
    return content


@pytest.mark.parametrize("name", LAUNCHER)
def test_ray_s_own_loader_takes_the_launcher_s_files(name: str) -> None:
    from bench.execution.ray_backend.ray_compat import prepare_config, validate_config

    validate_config(prepare_config(launcher_file(name)))


@pytest.mark.parametrize("name", LAUNCHER)
def test_all_nodes_have_the_same_setup(name: str) -> None:
    here, first = launcher_file(name), launcher_file("onprem")
    assert here["file_mounts"] == first["file_mounts"]
    assert here["setup_commands"][-4:] == first["setup_commands"]
    assert here["head_start_ray_commands"][0] == first["head_start_ray_commands"][0]
    if name != "local":
        assert here["worker_start_ray_commands"] == first["worker_start_ray_commands"]


@pytest.mark.parametrize("name", LAUNCHER)
def test_every_ray_requires_the_token_and_counts_gpus_like_nvml(name: str) -> None:
    content = launcher_file(name)
    assert content["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    for kind in ("head", "worker"):
        for command in content[f"{kind}_start_ray_commands"]:
            if "ray start" in command:
                before = command.partition("ray start")[0]
                assert "RAY_AUTH_MODE=token" in before
                assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in before
                assert "unset OMP_NUM_THREADS" in before


@pytest.mark.parametrize("file", [*(f"{n}.yaml" for n in LAUNCHER), "slurm.sbatch"])
def test_every_ray_has_a_private_folder_for_its_files(file: str) -> None:
    text = (CLUSTERS / file).read_text()
    starts = 1 if file in ("local.yaml", "slurm.sbatch") else 2
    assert text.count('--temp-dir="$(mktemp -d /tmp/ray-XXXXXX)/r"') == starts


@pytest.mark.parametrize("file", [*(f"{n}.yaml" for n in (*LAUNCHER, "kuberay")), "slurm.sbatch"])
def test_an_unresponsive_node_is_lost_within_the_time_in_the_readme(file: str) -> None:
    checks = health_checks(file)
    assert checks == health_checks("onprem.yaml")
    assert len(checks) == 4
    readme = (CLUSTERS / "README.md").read_text()
    assert f"silent node within {lost_within_s(checks):g} s" in readme
    assert f"lost within {lost_within_s(checks):g} s" in (CLUSTERS / file).read_text()


@pytest.mark.parametrize("name", LAUNCHER)
def test_only_the_head_has_settings_for_health_checks(name: str) -> None:
    commands = launcher_file(name)["worker_start_ray_commands"]
    assert not any("health_check" in command for command in commands)


@pytest.mark.parametrize("name", LAUNCHER)
def test_every_command_is_complete_shell_syntax(name: str) -> None:
    content = launcher_file(name)
    commands = [c for key, value in content.items() if key.endswith("commands") for c in value]
    for command in commands:
        assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0, command


@pytest.mark.parametrize("name", ["local", "onprem"])
def test_local_machines_use_the_autoscaler_for_them(name: str) -> None:
    (_, start) = launcher_file(name)["head_start_ray_commands"]
    assert "RAY_enable_autoscaler_v2=0" in start


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_clouds_start_the_maximum_number_of_workers(name: str) -> None:
    content = launcher_file(name)
    workers = content["available_node_types"]["gpu"]
    assert workers["min_workers"] == workers["max_workers"] == content["max_workers"]


def test_the_job_is_a_ray_job_with_fields_that_kuberay_knows(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert set(job["spec"]) <= RAY_JOB
    assert job["spec"]["submissionMode"] in {"K8sJobMode", "HTTPMode", "SidecarMode"}
    assert set(job["spec"]["submitterConfig"]) == {"backoffLimit"}
    assert set(cluster) <= RAY_CLUSTER
    assert cluster["authOptions"] == {"mode": "token"}
    assert set(cluster["headGroupSpec"]) <= HEAD_GROUP
    for group in cluster["workerGroupSpecs"]:
        assert set(group) <= WORKER_GROUP
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in groups(job):
        # A map of strings: YAML's bare 0 or false would be refused.
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_its_pods_have_fields_that_kubernetes_knows(job: dict[str, Any]) -> None:
    for group in groups(job):
        assert set(group["template"]) == {"spec"}
        spec = group["template"]["spec"]
        assert set(spec) <= POD
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in spec["containers"]:
            assert set(container) <= CONTAINER
            assert re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", container["name"])
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert all(isinstance(entry["value"], str) for entry in container["env"])
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_driver_s_results_go_to_the_claimed_volume(job: dict[str, Any]) -> None:
    claim, _ = yaml.safe_load_all((CLUSTERS / "kuberay.yaml").read_text())
    spec = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    names = {volume["name"]: volume.get("persistentVolumeClaim") for volume in spec["volumes"]}
    (container,) = spec["containers"]
    (mount,) = [m for m in container["volumeMounts"] if names[m["name"]]]
    assert names[mount["name"]] == {"claimName": claim["metadata"]["name"]}
    assert mount["mountPath"] == f"{container['workingDir']}/results"


def test_every_pod_has_the_same_image_and_environment(job: dict[str, Any]) -> None:
    containers = [group["template"]["spec"]["containers"][0] for group in groups(job)]
    assert len({container["image"] for container in containers}) == 1
    environments = [{e["name"]: e["value"] for e in c["env"]} for c in containers]
    assert all(env == environments[0] for env in environments)
    assert environments[0]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_every_pod_has_a_volume_for_the_cache(job: dict[str, Any]) -> None:
    for group in groups(job):
        (container,) = group["template"]["spec"]["containers"]
        (cache,) = [e["value"] for e in container["env"] if e["name"] == "BENCH_CACHE_DIR"]
        mounted = [Path(mount["mountPath"]) for mount in container["volumeMounts"]]
        assert any(Path(cache).is_relative_to(path) for path in mounted)


def test_kuberay_names_the_installed_ray(job: dict[str, Any], pinned: dict[str, str]) -> None:
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pinned["ray"]


def test_the_image_installs_the_pinned_versions_and_what_it_copies_exists() -> None:
    steps = dockerfile()
    (base,) = [rest for step, rest in steps if step == "FROM"]
    assert re.fullmatch(r"python:3\.1[123]-slim", base)
    for step, rest in steps:
        if step == "COPY":
            for source in rest.split()[:-1]:
                assert (CLUSTERS.parent / source).exists(), source
    installs = [rest for step, rest in steps if step == "RUN" and "pip install" in rest]
    for command in "&&".join(installs).split("&&"):
        assert "--constraint constraints.txt" in command
        # Versions stand in one place.
        assert "==" not in command


def test_the_image_s_version_is_the_package_s(job: dict[str, Any]) -> None:
    text = (CLUSTERS.parent / "pyproject.toml").read_text()
    (version,) = re.findall(r'(?m)^version = "(.*)"', text)
    (head, *_) = groups(job)
    assert head["template"]["spec"]["containers"][0]["image"].endswith(f":{version}")
    assert f"trainbench:{version} ." in (CLUSTERS / "Dockerfile").read_text()


def test_the_slurm_script_is_complete_and_requests_whole_nodes() -> None:
    script = CLUSTERS / "slurm.sbatch"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    directives = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH ")]
    options = {word.partition("=")[0] for line in directives for word in shlex.split(line)[1:]}
    assert {"--nodes", "--exclusive", "--time", "--signal"} <= options


def test_a_job_with_gpus_that_cannot_train_ends_before_ray_starts() -> None:
    lines = (CLUSTERS / "slurm.sbatch").read_text().splitlines()
    (check,) = [i for i, line in enumerate(lines) if "bench.execution.gpus.gpu_support" in line]
    (start,) = [i for i, line in enumerate(lines) if line.startswith("srun ")]
    assert check < start
    assert "SLURM_JOB_GPUS" in lines[check]


@pytest.mark.parametrize("name", [*LAUNCHER, "kuberay"])
def test_the_readme_mentions_every_file(name: str) -> None:
    assert f"`{name}.yaml`" in (CLUSTERS / "README.md").read_text()


def groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def dockerfile() -> list[tuple[str, str]]:
    """Return the image's steps: the instruction, and the rest with its lines joined."""
    text = (CLUSTERS / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    steps = [line.partition(" ") for line in lines]
    return [(step, " ".join(rest.split())) for step, _, rest in steps]


_STAND_INS = {
    "python": "#!/bin/sh\necho head 1 2\n",
    "srun": "#!/bin/sh\nexec sleep 60\n",
    "bench": (
        '#!/bin/sh\n[ "$1" = run ] || exit 0\nbefore=\nfor word in "$@"; do\n'
        '    [ "$before" != --out ] || out=$word\n'
        "    case $word in --out=*) out=${word#--out=} ;; esac\n    before=$word\ndone\n"
        'mkdir -p -- "$out" && touch -- "$out/run.json"\n'
    ),
}


@pytest.mark.parametrize(
    ("variable", "words", "expected"),
    [
        ("", [], "results/runs/smoke-7"),
        ("~/mine", [], "home/mine"),
        ("it's mine:1", [], "it's mine:1"),
        ("-x", [], "-x"),
        ("", ["--out", "~/mine"], "home/mine"),
        ("", ["--out=other", "--blocks", "2"], "other"),
        ("first", ["--out=other"], "first"),
    ],
)
def test_a_slurm_job_reads_results_from_where_they_are_written(
    tmp_path: Path, variable: str, words: list[str], expected: str
) -> None:
    programs = tmp_path / "venv/bin"
    programs.mkdir(parents=True)
    for name, text in _STAND_INS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    variables = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    job = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7", "SLURM_NNODES": "1"}
    done = subprocess.run(
        ["bash", CLUSTERS / "slurm.sbatch", "smoke", *words],
        env={**variables, **job, "VENV": str(tmp_path / "venv"), "OUT": variable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / expected / "run.json").is_file()
