"""Real runs whose arms have different environments, and runs that cannot have theirs."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

import bench as api
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from tests.support.git_repository import Repository
from tests.support.processes import PATIENCE_S, bench, started, wait_until_gone
from tests.support.sample_suites import ENDLESS, TINY, write_suite

START = "def build(layers, images):\n    (width,) = layers.variant.widths\n"
ONE = f"{START}    return layers.hidden(layers.dense(width), layers.flatten()(images))\n"
TWO = (
    f"{START}    x = layers.hidden(layers.dense(width), layers.flatten()(images))\n"
    "    return layers.hidden(layers.dense(7), x)\n"
)


@pytest.fixture
def cache(tmp_path: Path) -> dict[str, str]:
    """The variable that names a cache of the test's own."""
    return {"BENCH_CACHE_DIR": str(tmp_path / "cache")}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository of a network with one hidden layer at the tag "one", then with two."""
    repository = Repository(tmp_path / "nets")
    repository.commit({"nets.py": ONE, "suites/README": ""})
    repository.git("tag", "one")
    repository.commit({"nets.py": TWO})
    return repository


def comparing(environments: Mapping[str, Any], **variant: Any) -> dict[str, Any]:
    """Return a suite that compares ``environments`` with the default one."""
    return {
        **TINY,
        "variant": {**TINY["variant"], **variant},
        "environments": environments,
        "matrix": {"environment": ["default", *environments]},
        "compare": [{"axis": "environment", "baseline": "default"}],
    }


def records_of(run: Path) -> dict[str, TrialRecord]:
    """Return the records of the first block by environment."""
    records = RunFolder.open(run).records()
    return {r.trial.variant.environment: r for r in records if r.trial.block == 0}


def left_in(cache: Mapping[str, str]) -> list[str]:
    """Return what is left of worktrees in the cache, besides the lock."""
    found = Path(cache["BENCH_CACHE_DIR"]).glob("worktrees-*/*")
    return [path.name for path in found if path.name != "lock"]


def wait_for_pid(file: Path) -> psutil.Process:
    """Return the process whose id a setup writes to ``file``."""
    ends = time.monotonic() + PATIENCE_S
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return psutil.Process(int(file.read_text()))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"python": "gone/python"}, "no interpreter "),
        ({"revision": "v9"}, "no revision 'v9' in "),
        ({"revision": "one", "setup": "echo bad; exit 4"}, "setup exited with code 4: bad"),
    ],
)
def test_an_environment_that_cannot_be_had_stops_the_run_and_leaves_nothing(
    settings: dict[str, Any], reason: str, repository: Repository, cache: dict[str, str]
) -> None:
    suite = write_suite(repository.path / "s.toml", comparing({"a": settings}))
    out = repository.path / "run"
    done = bench("run", suite, "--out", out, env=cache)
    assert done.returncode == 2
    *before, line = done.stderr.splitlines()
    assert before == ([f"environment a: setup: {settings['setup']}"] if "setup" in settings else [])
    assert line.startswith(f"bench: {suite}: environments.a: {reason}")
    assert not out.exists()
    assert left_in(cache) == []
    assert len(repository.worktrees) == 1


@pytest.mark.slow
def test_variables_and_threads_act_in_their_own_arms(tmp_path: Path, cache: dict[str, str]) -> None:
    variables = {"TF_ENABLE_ONEDNN_OPTS": "0", "API_TOKEN": "in-no-file"}
    environments = {"plain": {"variables": variables}, "one": {"threads": 1}}
    suite, out = write_suite(tmp_path / "s.toml", comparing(environments)), tmp_path / "run"
    done = bench("run", suite, "--out", out, "--json", env=cache)
    assert done.returncode == 0, done.stderr
    records = records_of(out)
    assert {name: r.resolved["onednn"] for name, r in records.items()} == {
        "default": True,
        "plain": False,
        "one": True,
    }
    assert records["one"].resolved["intra_op_threads"] == 1
    assert records["plain"].resolved["environment"] == {
        "name": "plain",
        "sets": ["variables"],
        "variables": ["API_TOKEN", "TF_ENABLE_ONEDNN_OPTS"],
        "revision": None,
    }
    assert records["plain"].resolved["variables"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert {r.resolved["turns"] for r in records.values()} == {"window"}
    assert set(api.load_trials(out)["environment"]) == {"default", "plain", "one"}
    assert "The compared environments differ: onednn is false" in done.stdout
    assert "Confounded" not in done.stdout
    for file in out.rglob("*"):
        assert file.is_dir() or b"in-no-file" not in file.read_bytes()


@pytest.mark.slow
def test_two_revisions_of_a_package_train_what_each_of_them_says(
    repository: Repository, cache: dict[str, str]
) -> None:
    environments = {"before": {"revision": "one", "setup": "echo set up"}}
    content = comparing(environments, workload="nets:build")
    suite = write_suite(repository.path / "suites" / "s.toml", content)
    out = repository.path / "run"
    env = {**cache, "PYTHONPATH": str(repository.path)}
    done = bench("run", suite, "--out", out, env=env)
    assert done.returncode == 0, done.stderr
    before, now = (records_of(out)[name] for name in ("before", "default"))
    assert before.measures.parameters != now.measures.parameters
    for record, tag in ((before, "one"), (now, "HEAD")):
        source = {"commit": repository.git("rev-parse", tag), "dirty": False}
        assert record.resolved["environment"]["revision"] == source
    assert (out / "setup-before.log").read_text() == "set up\n"
    assert left_in(cache) == []
    assert len(repository.worktrees) == 1
    assert bench("run", suite, "--out", out, "--resume", env=env).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_setup_ends_the_run_and_the_setup(
    number: signal.Signals, repository: Repository, cache: dict[str, str]
) -> None:
    started_file = repository.path / "started"
    command = f"echo $$ > {started_file}; sleep 600"
    content = comparing({"a": {"revision": "one", "setup": command}}, workload="nets:build")
    suite, out = write_suite(repository.path / "s.toml", content), repository.path / "run"
    with started("run", suite, "--out", out, env=cache) as run:
        setup = wait_for_pid(started_file)
        os.killpg(run.process.pid, number)
        assert run.process.wait(PATIENCE_S) == 130
    assert not setup.is_running()
    assert not out.exists()
    assert left_in(cache) == []
    assert len(repository.worktrees) == 1


def test_the_setup_of_a_killed_run_ends_with_the_next(
    repository: Repository, cache: dict[str, str]
) -> None:
    started_file = repository.path / "started"
    content = comparing({"a": {"revision": "one"}}, workload="nets:build")
    content["environments"]["a"]["setup"] = f"echo $$ > {started_file}; sleep 600"
    suite, out = write_suite(repository.path / "s.toml", content), repository.path / "run"
    with started("run", suite, "--out", out, env=cache) as run:
        setup = wait_for_pid(started_file)
        run.process.kill()
    assert setup.is_running()
    content["environments"]["a"]["setup"] = "exit 4"
    again = write_suite(repository.path / "s.toml", content)
    done = bench("run", again, "--out", out.with_name("next"), env=cache)
    assert done.returncode == 2
    wait_until_gone([setup])
    assert left_in(cache) == []
    assert len(repository.worktrees) == 1


@pytest.mark.slow
def test_the_worktree_of_a_killed_run_is_removed_by_the_next(
    repository: Repository, cache: dict[str, str]
) -> None:
    content = {**comparing({"a": {"revision": "one"}}), "variant": ENDLESS["variant"]}
    content["variant"] = {**ENDLESS["variant"], "workload": "nets:build"}
    suite, out = write_suite(repository.path / "s.toml", content), repository.path / "run"
    with started("run", suite, "--out", out, env=cache) as run:
        run.wait_for_training()
        assert len(repository.worktrees) == 2
        run.process.kill()
    assert len(left_in(cache)) == 1
    short = ("--executor=simulated", "--out", out.with_name("next"))
    done = bench("run", "smoke", *short, env=cache)
    assert done.returncode == 0, done.stderr
    assert left_in(cache) == []
    assert len(repository.worktrees) == 1
