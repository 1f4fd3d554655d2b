"""A workload's module is looked for on this machine and on every node, and not imported."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.errors import ResourceError, SuiteError
from bench.execution.custom_workloads.workload_check import check_workloads, is_installed
from bench.spec.plan import make_plan
from bench.spec.suite import Suite, load_suite
from tests.support.observers import observe
from tests.support.sample_suites import SINGLE, suite_of, write_suite

if TYPE_CHECKING:
    from bench.execution.ray_backend.ray_executor import RayExecutor


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that cannot be imported, and a namespace, of which nothing can be known."""
    (tmp_path / "raising").mkdir()
    (tmp_path / "raising/__init__.py").write_text("raise SystemExit('it was imported')\n")
    (tmp_path / "raising/nets.py").write_text("")
    (tmp_path / "outer/inner").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def beside(folder: Path, workload: str) -> Suite:
    """A suite whose file is in ``folder``."""
    variant = {**SINGLE["variant"], "workload": workload}
    return load_suite(write_suite(folder / "suite.toml", {**SINGLE, "variant": variant}))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("module", "installed"),
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
def test_a_module_is_found_without_being_imported(module: str, installed: bool) -> None:
    assert is_installed(module) == installed


def check(suite: Suite) -> None:
    check_workloads(make_plan(suite).trials, suite)


@pytest.mark.usefixtures("folder")
def test_a_module_that_is_not_on_this_machine_is_refused_by_name(folder: Path) -> None:
    (folder / "raising/nets.py").write_text("def towers(layers, images): ...\n")
    check(suite_of(SINGLE, workload="raising.nets:towers"))
    check(suite_of(SINGLE))
    message = "^workload 'raising.net:towers': there is no module 'raising.net' here: put it beside"
    with pytest.raises(SuiteError, match=message):
        check(suite_of(SINGLE, workload="raising.net:towers"))


SOURCE = """
import keras
import keras.layers as net
from others import given, taken as renamed
if keras:
    def branched(layers, images): ...
class Made: ...
assigned = lambda layers, images: images
first, second = given, 3
constant = 3
typed: int = 3
listed = [given]
both = None
both = given
def plain(layers, images):
    local = 1
    def inner(): ...
"""


NO_FUNCTIONS = ("keras", "net", "constant", "typed", "listed")


@pytest.mark.parametrize(
    "name", ["given", "first", "renamed", "branched", "Made", "assigned", "plain", "both"]
)
def test_a_name_that_a_module_binds_is_found_in_its_source(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    check(beside(tmp_path, f"mine:{name}"))


@pytest.mark.parametrize("name", ["local", "inner", "taken", "layers", "plian", *NO_FUNCTIONS])
def test_a_function_that_a_module_does_not_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    with pytest.raises(SuiteError, match=rf"no function {name} in mine\.py") as refused:
        check(beside(tmp_path, f"mine:{name}"))
    assert ("did you mean 'plain'?" in str(refused.value)) == (name == "plian")


def test_functions_that_a_module_defines_are_suggested_first(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import keras\nfrom keras import Dense\ndef net(l, i): ...\n")
    with pytest.raises(SuiteError, match=r"use one of net$"):
        check(beside(tmp_path, "mine:towers"))
    with pytest.raises(SuiteError, match="did you mean 'Dense'"):
        check(beside(tmp_path, "mine:dense"))


@pytest.mark.parametrize(
    "line",
    ["from others import *", "globals()['net'] = print", "def __getattr__(name): return print"],
)
def test_names_that_only_an_import_can_find_are_accepted(tmp_path: Path, line: str) -> None:
    (tmp_path / "mine.py").write_text(line)
    check(beside(tmp_path, "mine:net"))


def test_invalid_python_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import keras\ndef net(layers images): ...\n")
    with pytest.raises(SuiteError, match=r"\(mine\.py, line 2\)"):
        check(beside(tmp_path, "mine:net"))


def test_a_module_in_the_suite_s_folder_is_suggested_for_a_misspelled_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    with pytest.raises(SuiteError, match="no module 'mein' here: did you mean 'mine'"):
        check(beside(tmp_path, "mein:plain"))


@pytest.mark.usefixtures("folder")
def test_a_module_that_is_not_on_a_node_is_refused_before_anything_starts(
    ray_executor: "RayExecutor",
) -> None:
    # Ray was started without that folder, which this process has.
    suite = suite_of(SINGLE, workload="raising.nets:towers")
    message = f"there is no module 'raising.nets' on node {os.uname().nodename}: install it there"
    with pytest.raises(ResourceError, match=message):
        observe(ray_executor, suite)
