"""What trials inherit is asked where it holds, and refused where they cannot train with it."""

import dataclasses
import os
import subprocess
import sys
from typing import Any

import pytest

from bench.errors import ResourceError
from bench.execution.scheduling.cluster import Cluster
from bench.execution.trial_environment.inherited_environment import (
    InheritedEnvironment,
    check_inherited,
    inherited_environment,
)
from tests.execution.scheduling.test_cluster import GPU_NODES, TWO_NODES, block, workers_of
from tests.support.observers import observe_in_subprocess
from tests.support.sample_suites import SINGLE

NODE = InheritedEnvironment(host="here", conflict=None, threads={}, usable_cores=8)


def check(inherited: InheritedEnvironment, *settings: dict[str, Any], gpus: bool = False) -> None:
    """Check a block on nodes of 8 cores, or on some of 4 GPUs and 16 cores."""
    cluster = Cluster(GPU_NODES if gpus else TWO_NODES, "auto")
    check_inherited([block(*settings)], cluster, {"a": NODE, "b": inherited})


def with_threads(**variables: str) -> InheritedEnvironment:
    return dataclasses.replace(NODE, threads=variables)


def test_a_conflict_is_reported_with_its_node() -> None:
    conflict = dataclasses.replace(NODE, host="there", conflict="KERAS_BACKEND=jax: unset it")
    with pytest.raises(ResourceError, match=r"there.*KERAS_BACKEND=jax"):
        check(conflict, {})


@pytest.mark.parametrize("name", ["TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_thread_variable_other_than_the_default_is_refused_if_the_suite_sets_no_threads(
    name: str,
) -> None:
    check(with_threads(**{name: "8"}), {})
    with pytest.raises(ResourceError, match=rf"{name}=1\b.*threads"):
        check(with_threads(**{name: "1"}), {})
    check(with_threads(**{name: "1"}), {"threads": 1}, {"threads": 2})
    with pytest.raises(ResourceError, match=rf"{name}=1\b.*threads"):
        check(with_threads(**{name: "1"}), {"threads": 1}, {})


def test_what_a_trial_has_of_its_node_is_what_a_variable_is_compared_with() -> None:
    check(with_threads(OMP_NUM_THREADS="4"), workers_of(2))
    check(with_threads(OMP_NUM_THREADS="4"), {}, gpus=True)
    with pytest.raises(ResourceError, match="OMP_NUM_THREADS=8"):
        check(with_threads(OMP_NUM_THREADS="8"), workers_of(2))


@pytest.mark.parametrize(
    ("settings", "most", "gpus"),
    [
        ({}, 8, False),
        (workers_of(2), 4, False),
        (workers_of(2, placement="spread"), 8, False),
        ({}, 4, True),
    ],
    ids=["one worker", "two on a node", "two on two nodes", "a GPU of four"],
)
def test_more_threads_than_a_worker_has_cores_are_refused(
    settings: dict[str, Any], most: int, gpus: bool
) -> None:
    check(NODE, {**settings, "threads": most}, gpus=gpus)
    with pytest.raises(ResourceError, match=f"threads {most + 1} .* {most} cores"):
        check(NODE, {**settings, "threads": most + 1}, gpus=gpus)


def test_cores_that_only_ray_counts_do_not_exist() -> None:
    fewer = dataclasses.replace(NODE, usable_cores=2)
    check(fewer, {**workers_of(2), "threads": 1})
    with pytest.raises(ResourceError, match=r"threads 2 .* 1 cores"):
        check(fewer, {**workers_of(2), "threads": 2})


def test_the_omp_num_threads_that_ray_sets_is_not_inherited() -> None:
    worker = (
        "import os; os.environ.setdefault('OMP_NUM_THREADS', '2'); "
        "from bench.execution.trial_environment import inherited_environment as inherited; "
        "found = inherited.worker_environment(os.environ, {}); "
        "print({name: found[name] for name in inherited.THREAD_VARIABLES if name in found})"
    )
    starter = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    for given in ({}, {"OMP_NUM_THREADS": "7"}):
        bare = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
        done = subprocess.run(
            [sys.executable, "-c", starter], env={**bare, **given}, capture_output=True, text=True
        )
        assert done.stdout.strip() == str(given), done.stderr


RUNTIME_ENVIRONMENT = """
import ray
from bench.execution.trial_environment.inherited_environment import inherited_by_workers
variables = {"OMP_NUM_THREADS": "7", "KERAS_BACKEND": "jax", "MKL_NUM_THREADS": "3"}
ray.init("local", num_cpus=1, include_dashboard=False, runtime_env={"env_vars": variables})
found = ray.get(ray.remote(inherited_by_workers).options(num_cpus=0).remote())
print(dict(sorted(found.threads.items())), found.conflict)
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_trials_inherit_variables_of_ray_s_runtime_environment() -> None:
    bare = {name: value for name, value in os.environ.items() if "_THREADS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", RUNTIME_ENVIRONMENT], env=bare, capture_output=True, text=True
    )
    assert "{'MKL_NUM_THREADS': '3', 'OMP_NUM_THREADS': '7'} KERAS_BACKEND=jax" in done.stdout, (
        done.stderr
    )


def test_this_process_s_variables_are_read_unchanged() -> None:
    inherited = inherited_environment(
        {"TF_NUM_INTEROP_THREADS": "3", "OMP_NUM_THREADS": "", "HOME": "/"}
    )
    assert inherited.threads == {"TF_NUM_INTEROP_THREADS": "3"}


def test_trials_of_one_process_with_different_threads_are_refused() -> None:
    with pytest.raises(AssertionError, match="ResourceError"):
        observe_in_subprocess("inprocess", {**SINGLE, "matrix": {"threads": [1, 2]}})
