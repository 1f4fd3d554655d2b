"""Arms under another TensorFlow, in an environment of its own, beside arms under this one.

`make test-tensorflow` makes that environment: it has TensorFlow and pydantic, and nothing else.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import bench as api
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from tests.support.processes import bench
from tests.support.sample_suites import TINY, write_suite

pytestmark = pytest.mark.tensorflow

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "normed, streamed": {"norm": "bn_post", "pipeline": "tfdata", "optimizer": "adam"},
    "from files": {"norm": "layer", "pipeline": "tfrecord", "jit": "step", "optimizer": "momentum"},
    "convnet": {"workload": "convnet", "norm": "group", "clip": "global_norm", "shape": [8, 8, 1]},
    "mixed": {"precision": "mixed_bfloat16", "norm": "bn_pre", "health_epochs": [0, -1]},
}


@pytest.fixture(scope="session")
def python() -> str:
    """The other interpreter."""
    path = os.environ.get("BENCH_OTHER_PYTHON")
    # The make target names one and skips nothing; a plain run of pytest has none.
    if path is None:
        pytest.skip("BENCH_OTHER_PYTHON names no interpreter: use make test-tensorflow")
    return path


def run(tmp_path: Path, content: Mapping[str, Any]) -> list[TrialRecord]:
    suite, out = write_suite(tmp_path / "s.toml", content), tmp_path / "run"
    done = bench("run", suite, "--out", out, env={"BENCH_CACHE_DIR": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    assert "Confounded" not in done.stdout
    return list(RunFolder.open(out).records())


def test_arms_of_both_take_turns_and_keep_their_own_programs(python: str, tmp_path: Path) -> None:
    content = {
        **TINY,
        "environments": {"other": {"python": python}},
        "matrix": {"environment": ["default", "other"]},
        "compare": [{"axis": "environment", "baseline": "default"}],
    }
    records = run(tmp_path, content)
    versions = {r.trial.variant.environment: r.resolved["tensorflow"] for r in records}
    assert versions["default"] != versions["other"]
    import_numpy = [python, "-c", "import numpy; print(numpy.__version__)"]
    numpy = subprocess.run(import_numpy, capture_output=True, text=True, check=True).stdout
    assert {r.resolved["numpy"] for r in records if r.trial.variant.environment == "other"} == {
        numpy.strip()
    }
    for record in records:
        assert record.status == "completed"
        assert record.resolved["turns"] == "window"
        assert record.resolved["process_start"] == "fork"
        assert record.resolved["compiled_before"] == (record.trial.block == 1)
        assert {"python", "keras"} <= record.resolved.keys()
    folders = {path.parent.name for path in (tmp_path / "cache").glob("xla-*/*/*.pb")}
    assert {folder.split("-")[1] for folder in folders} == {*versions.values()}
    assert set(api.load_trials(tmp_path / "run")["environment"]) == {"default", "other"}


def test_every_kind_of_training_runs_under_it(python: str, tmp_path: Path) -> None:
    content = {
        **TINY,
        "blocks": 1,
        "environments": {"other": {"python": python}},
        "variant": {**TINY["variant"], "environment": "other"},
        "variants": [{"label": label, **settings} for label, settings in VARIANTS.items()],
        "matrix": {},
        "compare": [{"axis": "label", "baseline": "plain"}],
    }
    records = run(tmp_path, content)
    outcomes = {record.trial.label: (record.status, record.error) for record in records}
    assert outcomes == dict.fromkeys(VARIANTS, ("completed", None))
