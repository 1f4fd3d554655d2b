"""The guide's own workload and suites, installed and run as its reader would."""

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
from tests.support.sample_suites import SINGLE, written

OUTSIDE = ROOT / "tests" / "outside"
BLOCKS: list[tuple[str, str]] = [
    (before, textwrap.dedent(quoted))
    for before, quoted in re.findall(
        r"([^\n]*(?:\n[^\n]+)*)\n\n *```\w+\n(.*?)\n *```",
        (ROOT / "docs/how-to.md").read_text(),
        re.DOTALL,
    )
]
"""What the guide quotes, each with the paragraph before it."""
SUITES = [quoted for _, quoted in BLOCKS if quoted.startswith("name =")]
PARTS = [(before, quoted) for before, quoted in BLOCKS if quoted not in SUITES]
SHORT = ["--blocks=1", "--set=epochs=1", "--set=dataset=synthetic", "--set=examples=256"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package from outside is installed."""
    place = tmp_path_factory.mktemp("outside")
    shutil.copytree(OUTSIDE, place / "source", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir")
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *offline]
    subprocess.run([*pip, "--target", place / "target", place / "source"], check=True)
    return {"PYTHONPATH": f"{ROOT}:{place / 'target'}"}


@pytest.fixture
def towers(tmp_path: Path) -> Path:
    """The guide's first suite."""
    file = tmp_path / "towers.toml"
    file.write_text(SUITES[0])
    return file


def test_what_the_guide_quotes_stands_in_the_file_that_it_names() -> None:
    assert len(SUITES) == 2
    assert len(PARTS) == 6
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
    assert len(plan.blocks) == 3


@pytest.mark.slow
def test_the_guide_s_suite_runs_with_an_installed_package_by_its_registered_name(
    towers: Path, tmp_path: Path, installed: dict[str, str]
) -> None:
    out = tmp_path / "run"
    named = [*SHORT, "--set=norm=none,bn_pre", "--set=workload=towers"]
    done = bench("run", towers, *named, "--out", out, env=installed)
    assert done.returncode == 0, done.stderr
    trials = api.load_trials(out)
    assert set(trials["status"]) == {"completed"}
    # Where the package is not installed, what ran can still be read.
    assert set(trials["workload"]) == {"own_nets:towers"}
    # Two towers of 784-300-100, and ten logits of their sum.
    plain = trials.set_index("norm")["parameters"]["none"]
    assert plain == 2 * (784 * 300 + 300 + 300 * 100 + 100) + 100 * 10 + 10
    resolved = [json.loads(file.read_text())["resolved"] for file in (out / "trials").iterdir()]
    assert len({one["workload_source"] for one in resolved}) == 1


def test_a_package_that_is_not_here_is_refused_in_a_line(towers: Path, tmp_path: Path) -> None:
    done = bench("run", towers, "--out", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "bench: workload 'own_nets:towers': there is no module 'own_nets' here: put it beside the "
        "suite's file, install it beside bench on every node, or name its folder in PYTHONPATH\n"
    )
    assert not (tmp_path / "run").exists()


MODULE = """
import keras
from beside_it import width
from tests.support.paths import ROOT

def net(layers, images):
    return layers.hidden(layers.dense(width(layers)), layers.flatten()(images))
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A suite with its network in a file beside it, and that with another."""
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "beside_it.py").write_text("def width(layers): return layers.variant.hidden[0]\n")
    variant = {**SINGLE["variant"], "workload": "mine:net"}
    return written(tmp_path / "mine.toml", {**SINGLE, "variant": variant})


@pytest.mark.slow
def test_a_module_beside_the_suite_s_file_is_trained_from_anywhere_and_resumed(
    mine: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Not this one, though it is where Ray's workers start.
    (elsewhere / "mine.py").write_text("def net(layers, images): raise RuntimeError\n")
    out = tmp_path / "run"
    for words in ((), ("--resume", "--blocks=2")):
        done = bench("run", mine, "--out", out, *words, cwd=elsewhere)
        assert done.returncode == 0, done.stderr
    trials = api.load_trials(out)
    assert list(trials["status"]) == ["completed"] * 2
    assert set(trials["parameters"]) == {16 * 16 + 16 + 16 * 10 + 10}


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    ("workload", "said"),
    [("mine:nett", "no function nett in mine.py: did you mean 'net'?"), ("mein:net", "'mine'?")],
)
def test_a_module_or_function_that_is_not_there_is_refused_with_the_nearest(
    mine: Path, command: str, workload: str, said: str
) -> None:
    done = bench(command, mine, f"--set=workload={workload}", cwd=mine.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not list(mine.parent.rglob("run.json"))


def test_a_finished_run_needs_no_package_any_more(
    towers: Path, tmp_path: Path, installed: dict[str, str]
) -> None:
    words = ("run", str(towers), *SHORT, "--executor", "simulated", "--out", f"{tmp_path}/run")
    assert bench(*words, env=installed).returncode == 0
    assert bench(*words, "--resume").returncode == 0
