"""A node runs trials only under what the driver has prepared, at the same path."""

import socket
from pathlib import Path

import pytest

from bench.errors import ResourceError
from bench.execution.environments.node_check import check_one_worker, environment_problem
from bench.execution.prepared_environment import PreparedEnvironment
from bench.spec.plan import make_plan
from tests.execution.environments.test_interpreter import GOOD, saying
from tests.support.sample_suites import TINY, suite_of

VERSIONS = {name: str(GOOD[name]) for name in ("python", "tensorflow", "keras", "numpy")}


def test_a_node_with_the_same_interpreter_is_fine(tmp_path: Path) -> None:
    other = PreparedEnvironment("a", interpreter=saying(tmp_path / "python"), versions=VERSIONS)
    assert environment_problem({"a": other}, "another host") is None


def test_another_version_on_a_node_is_named(tmp_path: Path) -> None:
    interpreter = saying(tmp_path / "python", tensorflow="2.20.0")
    other = PreparedEnvironment("a", interpreter=interpreter, versions=VERSIONS)
    problem = environment_problem({"a": other}, "another host")
    where = f"environment 'a' on node {socket.gethostname()}"
    assert problem == f"{where}: tensorflow 2.20.0 instead of 2.18.0: install the same versions"
    assert environment_problem({"a": other}, socket.gethostname()) is None


def test_a_missing_interpreter_or_worktree_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    interpreter = PreparedEnvironment("a", interpreter=str(gone))
    assert f"no interpreter {gone} there" in str(environment_problem({"a": interpreter}, "b"))
    for worktree in (
        PreparedEnvironment("a", package=gone),
        PreparedEnvironment("a", modules=(gone,)),
    ):
        problem = environment_problem({"a": worktree}, "b")
        assert f"no {gone} there: keep the cache (BENCH_CACHE_DIR) on storage" in str(problem)


@pytest.mark.parametrize("sets", ["python", "revision", "threads", "variables"])
def test_workers_of_one_trial_have_the_runs_own_interpreter_and_code(sets: str) -> None:
    content = {**TINY, "environments": {"a": {"threads": 1}}}
    settings = {"environment": "a", "workers": 2, "strategy": "multi_worker"}
    blocks = make_plan(suite_of(content, **settings)).blocks
    environments = {"a": PreparedEnvironment("a", sets=(sets,))}
    if sets in ("threads", "variables"):
        check_one_worker(blocks, environments)
    else:
        with pytest.raises(ResourceError, match="environment 'a' sets python or revision"):
            check_one_worker(blocks, environments)
    check_one_worker(make_plan(suite_of(content, environment="a")).blocks, environments)
