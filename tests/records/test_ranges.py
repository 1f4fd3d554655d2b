"""Values that no training can measure are refused with their file and field."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.analysis.questions.layer_health_frame import load_health
from bench.errors import RunFolderError
from bench.records.run_folder import RunFolder
from tests.support.sample_records import NORMS, looked_at, make_run

SUITE = {**NORMS, "blocks": 1, "variant": {"epochs": 3, "health_epochs": [-1]}}
READERS: tuple[Callable[[Path], Any], ...] = (
    bench.load_trials,
    bench.load_attempts,
    bench.load_epochs,
    load_health,
    lambda path: list(RunFolder.open(path).records()),
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", SUITE, change=looked_at)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "fine"),
        ("attempt", 0),
        ("invocation", 2**64),
        ("wall_s", -1.0),
        ("started_at", "yesterday"),
        ("devices", "CPU:0"),
        ("measures.cold_start_s", -0.5),
        ("measures.test_accuracy", 1.5),
        ("measures.peak_rss_bytes", -1),
        ("measures.parameters", 1.5),
        ("epochs.1.epoch_s", 0.0),
        ("epochs.1.epoch_s", "Infinity"),
        ("epochs.1.epoch_s", "0.5"),
        ("epochs.1.val_accuracy", -0.1),
        ("epochs.1.examples", True),
        ("epochs.1.steps", 0),
        ("epochs.1.epoch", 2),
        ("trial.trial_id", "b000-0000000000"),
        ("trial.order", -1),
        ("trial.variant.workers", 0),
        ("trial.variant.depth", 10**12),
        ("resolved.window_steps", "many"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_file_and_field(
    folder: RunFolder, field: str, value: Any
) -> None:
    path = sorted(folder.trials.iterdir())[0]
    record = json.loads(path.read_text())
    *way, last = (int(step) if step.isdecimal() else step for step in field.split("."))
    parent = record
    for step in way:
        parent = parent[step]
    parent[last] = value
    path.write_text(json.dumps(record))
    named = field.replace(".1.", "[1].")
    for read in READERS:
        with pytest.raises(RunFolderError) as refused:
            read(folder.path)
        assert str(refused.value).startswith(f"{path}: {named}"), str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs.1.train_loss", "NaN"),
        ("epochs.1.train_loss", "-Infinity"),
        ("epochs.1.train_accuracy", "NaN"),
        ("epochs.1.val_accuracy", None),
        ("epochs.1.val_accuracy", 1),
        ("measures.weights_l2", "Infinity"),
        ("measures.flops_per_step", 10**17),
    ],
)
def test_values_that_training_can_give_are_read(folder: RunFolder, field: str, value: Any) -> None:
    path = sorted(folder.trials.iterdir())[0]
    record = json.loads(path.read_text())
    *way, last = (int(step) if step.isdecimal() else step for step in field.split("."))
    parent = record
    for step in way:
        parent = parent[step]
    parent[last] = value
    path.write_text(json.dumps(record))
    for read in READERS:
        read(folder.path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trial_ids", ["../../x"]),
        ("suite", {"name": "x", "blocks": 0}),
        ("suite", {"name": "x", "description": 3}),
        ("invocations", [{"started_at": "9999-12-31T23:59:59Z", "executor": "ray", "lanes": 1}]),
        ("invocations", [{"started_at": "2026-01-01", "executor": "ray", "lanes": 0}]),
        ("invocations", [{"started_at": "2026-01-01", "executor": "ray", "wall_s": -1}]),
        ("pairs", [{"axis": "colour", "variant_id": "a", "baseline_id": "b"}]),
        ("labels", {"a": 3}),
    ],
)
def test_invalid_values_in_run_json_are_refused(folder: RunFolder, field: str, value: Any) -> None:
    path = folder.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    for read in READERS:
        with pytest.raises(RunFolderError) as refused:
            read(folder.path)
        assert str(refused.value).startswith(f"{path}: {field}")
