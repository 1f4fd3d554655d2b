"""A module beside the suite's file is imported, and hides nothing that is installed."""

import importlib
import random
import sys
from pathlib import Path

import pytest

from bench.execution.custom_workloads.module_folder import importing_from, modules_in_folder
from bench.spec.suite import load_suite, parse_suite
from tests.support.sample_suites import SINGLE, write_suite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two modules, a package, and one with the name of a standard module."""
    (tmp_path / "mine.py").write_text("import helper\nfrom random import Random\nSIZE = 3\n")
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "random.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets/__init__.py").write_text("")
    return tmp_path


def test_workload_modules_are_found_in_the_suite_s_folder(
    folder: Path,
) -> None:
    suite = {**SINGLE, "matrix": {"workload": ["mlp", "mine:net", "nets.deep:net"]}}
    listed = [{"workload": "installed:net"}, {"workload": "helper:net"}]
    file = write_suite(folder / "suite.toml", {**suite, "variants": listed})
    names = [module.name for module in modules_in_folder(load_suite(file))]
    assert names == ["helper.py", "mine.py", "nets"]
    assert modules_in_folder(load_suite("quick")) == []
    assert modules_in_folder(parse_suite(suite)) == []


def test_modules_and_their_imports_are_importable_within_the_block(folder: Path) -> None:
    path, finders = list(sys.path), list(sys.meta_path)
    with importing_from([folder / "mine.py"]):
        mine = importlib.import_module("mine")
        assert (mine.SIZE, mine.helper.__file__) == (3, str(folder / "helper.py"))
        assert mine.Random is random.Random
    assert (sys.path, sys.meta_path) == (path, finders)
    assert not {"mine", "helper"} & sys.modules.keys()
    assert "random" in sys.modules


def test_a_module_in_the_suite_s_folder_takes_precedence_over_an_installed_one(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path_factory.mktemp("installed")
    (installed / "mine.py").write_text("SIZE = 9\n")
    monkeypatch.syspath_prepend(str(installed))
    with importing_from([folder / "mine.py"]):
        assert importlib.import_module("mine").SIZE == 3
