"""Environments are prepared before a run, or refused by name; nothing is left of them."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ResourceError
from bench.execution.environments.prepare import prepared_environments
from bench.execution.executor import Event, SetupStart
from bench.execution.prepared_environment import PreparedEnvironment
from bench.spec.plan import make_plan
from bench.spec.suite import load_suite
from tests.execution.environments.test_interpreter import saying
from tests.support.git_repository import Repository
from tests.support.sample_suites import SINGLE, write_suite

EVENTS: list[Event] = []
NETS = "def build(layers, images):\n    return layers.flatten()(images)\n"


@contextlib.contextmanager
def prepared(
    folder: Path,
    settings: dict[str, Any],
    content: Mapping[str, Any] | None = None,
    **variant: Any,
) -> Iterator[dict[str, PreparedEnvironment]]:
    """Prepare the environment "other" of a suite in ``folder``; its log goes to "log" there."""
    suite_content = {
        **SINGLE,
        **(content or {}),
        "variant": {**SINGLE["variant"], "environment": "other", **variant},
        "environments": {"other": settings},
    }
    folder.mkdir(parents=True, exist_ok=True)
    suite = load_suite(write_suite(folder / "suite.toml", suite_content))
    variants = {trial.variant for trial in make_plan(suite).trials}
    with prepared_environments(
        suite, variants, lambda _, log: save(folder, log), EVENTS.append
    ) as environments:
        yield environments


def save(folder: Path, log: str) -> None:
    (folder / "log").write_text(log)


def test_an_environment_that_no_variant_uses_is_not_prepared(tmp_path: Path) -> None:
    with prepared(tmp_path, {"python": "missing"}, environment="default") as environments:
        assert environments == {}


def test_variables_need_no_preparation_and_values_may_be_secret(tmp_path: Path) -> None:
    variables = {"TF_ENABLE_ONEDNN_OPTS": "0", "API_TOKEN": "secret"}
    with prepared(tmp_path, {"variables": variables}) as environments:
        other = environments["other"]
    assert other.variables == variables
    assert other.settings() == {
        "name": "other",
        "sets": ["variables"],
        "variables": ["API_TOKEN", "TF_ENABLE_ONEDNN_OPTS"],
        "revision": None,
    }


def test_an_interpreter_is_relative_to_the_suites_file(tmp_path: Path) -> None:
    saying(tmp_path / "python")
    with prepared(tmp_path / "suites", {"python": "../python"}) as environments:
        other = environments["other"]
    assert Path(other.interpreter or "").samefile(tmp_path / "python")
    assert other.versions["tensorflow"] == "2.18.0"
    assert other.tensorflow_build == "2.18.0-abc"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"python": "missing"}, "no interpreter .*/missing: correct python"),
        ({"python": "."}, "no interpreter"),
        ({"variables": {"KERAS_BACKEND": "jax"}}, "variables: KERAS_BACKEND=jax, but trials"),
        ({"revision": "main"}, "revision needs a git repository around"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_suite_and_the_environment(
    settings: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    pattern = f"{tmp_path}/suite.toml: environments.other: {reason}"
    with pytest.raises(ResourceError, match=pattern), prepared(tmp_path, settings):
        pass


def test_a_revision_replaces_the_modules_of_workloads(repository: Repository) -> None:
    first = repository.commit({"nets.py": NETS, "suites/nearer.py": NETS})
    repository.commit({"nets.py": "def build(layers, images):\n    return images\n"})
    (repository.path / "nets.py").write_text("def build(layers, images): ...\n")
    folder = repository.path / "suites"
    for workload in ("nets", "nearer"):
        changes = {"revision": "HEAD~1", "setup": "echo made > made; cat made"}
        with prepared(folder, changes, workload=f"{workload}:build") as environments:
            other = environments["other"]
            (module,) = other.modules or ()
            assert module.read_text() == NETS
            assert module.parent.name == ("suites" if workload == "nearer" else "other")
            assert len(repository.worktrees) == 2
        assert (other.commit, other.dirty) == (first, False)
        assert (folder / "log").read_text() == "made\n"
        assert EVENTS[-1] == SetupStart("other", "echo made > made; cat made")
        assert len(repository.worktrees) == 1
    assert environments["default"].commit == repository.git("rev-parse", "HEAD")
    assert environments["default"].dirty


def test_a_module_that_a_revision_lacks_is_the_runs_own(repository: Repository) -> None:
    repository.commit({"nets.py": NETS})
    (repository.path / "new.py").write_text(NETS)
    variants = {"variants": [{"workload": "nets:build"}, {"workload": "new:build"}]}
    settings = {"revision": "HEAD"}
    with prepared(repository.path, settings, content=variants) as environments:
        modules = environments["other"].modules or ()
        assert [path.name for path in modules] == ["nets.py", "new.py"]
        assert modules[0].parent.name == "other"
        assert modules[1] == repository.path / "new.py"


def test_setup_may_make_the_interpreter(repository: Repository) -> None:
    repository.commit({"nets.py": NETS, "suites/README": ""})
    saying(repository.path / "made")
    settings = {
        "revision": "HEAD",
        "setup": f"mkdir venv && cp {repository.path}/made venv/python",
        "python": "../venv/python",
    }
    with prepared(repository.path / "suites", settings, workload="nets:build") as environments:
        interpreter = Path(environments["other"].interpreter or "")
        assert interpreter.exists()
    assert not interpreter.exists()


@pytest.mark.parametrize(
    ("settings", "workload", "reason"),
    [
        ({"revision": "v9"}, "nets:build", "no revision 'v9' in"),
        ({"revision": "HEAD", "setup": "exit 4"}, "nets:build", "setup exited with code 4"),
        ({"revision": "HEAD"}, "mlp", "has neither the package bench nor the module"),
        ({"revision": "HEAD"}, "nets:bild", "no function bild in nets.py: did you mean 'build'"),
        ({"revision": "HEAD", "python": "p", "setup": "true"}, "nets:build", "no interpreter"),
    ],
)
def test_a_revision_that_cannot_train_is_refused_and_leaves_nothing(
    settings: dict[str, Any], workload: str, reason: str, repository: Repository, cache: Path
) -> None:
    repository.commit({"nets.py": NETS})
    with (
        pytest.raises(ResourceError, match=f"environments.other: .*{reason}"),
        prepared(repository.path, settings, workload=workload),
    ):
        pass
    assert len(repository.worktrees) == 1
    assert not list(cache.glob("worktrees-*/*/*"))


def test_the_output_of_a_failing_setup_is_a_note(repository: Repository) -> None:
    repository.commit({"nets.py": NETS})
    settings = {"revision": "HEAD", "setup": "echo why; exit 4"}
    with (
        pytest.raises(ResourceError) as refused,
        prepared(repository.path, settings, workload="nets:build"),
    ):
        pass
    assert refused.value.__notes__ == ["why"]


def test_a_revision_of_this_package_replaces_it(repository: Repository) -> None:
    files = {"pyproject.toml": '[project]\nname = "trainbench"\n', "bench/__init__.py": ""}
    repository.commit(files)
    with (
        pytest.raises(ResourceError, match="its revision is too old"),
        prepared(repository.path, {"revision": "HEAD"}),
    ):
        pass


def test_this_interpreter_by_its_path_is_one_of_its_own(tmp_path: Path) -> None:
    with prepared(tmp_path, {"python": sys.executable}) as environments:
        assert environments["other"].interpreter == sys.executable
