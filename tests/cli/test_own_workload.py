"""The guide's own workload and suite, run as its reader would."""

import re
from pathlib import Path

import bench as api
from tests.processes import bench

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "how-to.md").read_text()
OUTSIDE = ROOT / "tests" / "outside"
SHORT = [
    "--blocks",
    "1",
    "--set",
    "epochs=1",
    "--set",
    "dataset=synthetic",
    "--set",
    "examples=256",
]


def quoted(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found[1]


def test_the_guide_quotes_the_module_that_is_tested() -> None:
    assert quoted("python") == (OUTSIDE / "own_nets.py").read_text()


def test_the_guide_s_suite_runs_with_a_package_from_outside(tmp_path: Path) -> None:
    (tmp_path / "towers.toml").write_text(quoted("toml"))
    suite, out = tmp_path / "towers.toml", tmp_path / "run"
    done = bench("run", suite, *SHORT, "--out", out, env={"PYTHONPATH": f"{ROOT}:{OUTSIDE}"})
    assert done.returncode == 0, done.stderr
    trials = api.load_trials(tmp_path / "run")
    assert set(trials["status"]) == {"completed"}
    assert set(trials["workload"]) == {"own_nets:towers"}
    # Two towers of 784-300-100, and ten logits of their sum.
    plain = trials.set_index("norm")["parameters"]["none"]
    assert plain == 2 * (784 * 300 + 300 + 300 * 100 + 100) + 100 * 10 + 10


def test_a_package_that_is_not_here_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "towers.toml").write_text(quoted("toml"))
    done = bench("run", tmp_path / "towers.toml", "--out", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "bench: workload 'own_nets:towers': there is no package 'own_nets' here: install it "
        "beside bench, on every node, or name its folder in PYTHONPATH\n"
    )
    assert not (tmp_path / "run").exists()
