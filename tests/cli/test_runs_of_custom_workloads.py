"""The workload and suites of the guide, installed and run as a reader would."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import bench as api
from bench.spec.plan import make_plan
from bench.spec.suite import load_suite
from tests.support.paths import ROOT
from tests.support.processes import bench
from tests.support.sample_suites import SINGLE, write_suite

OUTSIDE = ROOT / "tests" / "outside"
BLOCKS: list[tuple[str, str]] = [
    (before, textwrap.dedent(quoted))
    for before, quoted in re.findall(
        r"([^\n]*(?:\n[^\n]+)*)\n\n *```\w+\n(.*?)\n *```",
        (ROOT / "docs/how-to.md").read_text(),
        re.DOTALL,
    )
]
"""The guide's code blocks, each with the paragraph before it."""
SUITES = [quoted for _, quoted in BLOCKS if quoted.startswith("name =")]
PARTS = [(before, quoted) for before, quoted in BLOCKS if quoted not in SUITES]
SHORT = ["--blocks=1", "--set=epochs=1", "--set=dataset=synthetic", "--set=examples=256"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which an external package is installed."""
    root = tmp_path_factory.mktemp("outside")
    shutil.copytree(OUTSIDE, root / "source", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *offline]
    subprocess.run([*pip, "--target", root / "target", root / "source"], check=True)
    return {"PYTHONPATH": f"{ROOT}:{root / 'target'}"}


@pytest.fixture
def towers(tmp_path: Path) -> Path:
    """The file of the guide's first suite."""
    file = tmp_path / "towers.toml"
    file.write_text(SUITES[0])
    return file


def test_every_quote_of_the_guide_is_in_the_file_that_it_names() -> None:
    assert len(SUITES) == 3
    assert len(PARTS) == 5
    assert f"{PARTS[0][1]}\n" == (OUTSIDE / "own_nets.py").read_text()
    for before, quoted in PARTS:
        file = re.findall(r"`([\w./-]+\.\w+)`", before)[-1]
        text = textwrap.dedent((ROOT / file).read_text())
        lines = [line.strip() for line in text.splitlines()]
        asked = [line.strip() for line in quoted.splitlines()]
        assert asked in [lines[i : i + len(asked)] for i in range(len(lines))], (file, quoted)


@pytest.mark.parametrize("text", SUITES)
def test_the_guide_s_suites_can_be_planned(text: str, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(text)
    plan = make_plan(load_suite(tmp_path / "suite.toml"))
    assert plan.pairs
    assert len(plan.blocks) == 6


@pytest.mark.slow
def test_the_guide_s_suite_runs_with_an_installed_package_by_its_registered_name(
    towers: Path, tmp_path: Path, installed: dict[str, str]
) -> None:
    out = tmp_path / "run"
    options = [*SHORT, "--set=norm=none,bn_pre", "--set=workload=towers"]
    result = bench("run", towers, *options, "--out", out, env=installed)
    assert result.returncode == 0, result.stderr
    trials = api.load_trials(out)
    assert set(trials["status"]) == {"completed"}
    # Records can be read without the package.
    assert set(trials["workload"]) == {"own_nets:towers"}
    # Two towers of 784-300-100, and ten logits of their sum.
    plain = trials.set_index("norm")["parameters"]["none"]
    assert plain == 2 * (784 * 300 + 300 + 300 * 100 + 100) + 100 * 10 + 10
    resolved = [json.loads(file.read_text())["resolved"] for file in (out / "trials").iterdir()]
    assert len({one["workload_source"] for one in resolved}) == 1


def test_a_missing_package_is_refused_in_one_line(towers: Path, tmp_path: Path) -> None:
    result = bench("run", towers, "--out", tmp_path / "run")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "bench: workload 'own_nets:towers': there is no module 'own_nets' here: put it beside the "
        "suite's file, install it beside bench on every node, or name its folder in PYTHONPATH\n"
    )
    assert not (tmp_path / "run").exists()


MODULE = """
import keras
from beside_it import width

def net(layers, images):
    return layers.hidden(layers.dense(width(layers)), layers.flatten()(images))
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A suite whose network is in a file beside it, which imports another file."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "beside_it.py").write_text("def width(layers): return layers.variant.hidden[0]\n")
    variant = {**SINGLE["variant"], "workload": "mine:net"}
    return write_suite(tmp_path / "mine.toml", {**SINGLE, "variant": variant})


@pytest.mark.slow
def test_a_module_beside_the_suite_s_file_trains_from_any_folder_and_resumes(
    mine: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Not this module, although Ray's workers start in its folder.
    (elsewhere / "mine.py").write_text("def net(layers, images): raise RuntimeError\n")
    out = tmp_path / "run"
    for words in ((), ("--resume", "--blocks=2")):
        result = bench("run", mine, "--out", out, *words, cwd=elsewhere)
        assert result.returncode == 0, result.stderr
    trials = api.load_trials(out)
    assert list(trials["status"]) == ["completed"] * 2
    assert set(trials["parameters"]) == {16 * 16 + 16 + 16 * 10 + 10}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("workload", "message"),
    [("mine:nett", "no function nett in mine.py: did you mean 'net'?"), ("mein:net", "'mine'?")],
)
def test_a_missing_module_or_function_is_refused_with_the_nearest(
    mine: Path, command: str, workload: str, message: str
) -> None:
    result = bench(command, mine, f"--set=workload={workload}", cwd=mine.parent)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(mine.parent.rglob("run.json"))


def test_a_finished_run_no_longer_needs_the_package(
    towers: Path, tmp_path: Path, installed: dict[str, str]
) -> None:
    words = ("run", str(towers), *SHORT, "--executor", "simulated", "--out", f"{tmp_path}/run")
    assert bench(*words, env=installed).returncode == 0
    assert bench(*words, "--resume").returncode == 0
