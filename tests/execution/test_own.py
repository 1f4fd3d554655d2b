"""A workload's module is looked for on this machine and on every node, and not imported."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.errors import ResourceError, SuiteError
from bench.execution.own import check_workloads, is_there
from bench.spec.plan import make_plan
from tests.execution.observed import observe
from tests.suites_made import SINGLE, suite_of

if TYPE_CHECKING:
    from bench.execution.ray_executor import RayExecutor


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that cannot be imported, and a namespace, of which nothing can be known."""
    (tmp_path / "raising").mkdir()
    (tmp_path / "raising/__init__.py").write_text("raise SystemExit('it was imported')\n")
    (tmp_path / "raising/nets.py").write_text("")
    (tmp_path / "outer/inner").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("raising", True),
        ("raising.nets", True),
        ("raising.net", False),
        ("raising.nets.deeper", False),
        ("no_such_package.nets", False),
        ("outer.nets", False),
        ("outer.inner.nets", True),  # as far as can be told without importing it
        ("raising..nets", False),
        ("__main__.nets", False),
    ],
)
def test_a_module_is_found_without_being_imported(module: str, found: bool) -> None:
    assert is_there(module) == found


@pytest.mark.usefixtures("folder")
def test_what_is_not_on_this_machine_is_refused_by_its_name() -> None:
    check_workloads(make_plan(suite_of(SINGLE, workload="raising.nets:towers")).trials)
    check_workloads(make_plan(suite_of(SINGLE)).trials)
    absent = make_plan(suite_of(SINGLE, workload="raising.net:towers")).trials
    said = "^workload 'raising.net:towers': there is no module 'raising.net' here: install it"
    with pytest.raises(SuiteError, match=said):
        check_workloads(absent)


@pytest.mark.usefixtures("folder")
def test_what_is_not_on_a_node_is_refused_before_anything_starts(
    ray_executor: "RayExecutor",
) -> None:
    # Ray was started without that folder, which this process has.
    suite = suite_of(SINGLE, workload="raising.nets:towers")
    check_workloads(make_plan(suite).trials)
    said = f"there is no module 'raising.nets' on node {os.uname().nodename}: install it there"
    with pytest.raises(ResourceError, match=said):
        observe(ray_executor, suite)
