"""Tests of layer health as a frame: rows, nulls, infinities, and no effect on other tables."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.analysis.loading.data_frames import load_trials
from bench.analysis.loading.frame_columns import health_columns
from bench.analysis.questions.layer_health_frame import load_health
from bench.errors import RunFolderError
from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from tests.support.sample_records import NORMS, looked_at, make_run

LAYERS, EXAMINATIONS, TRIALS = 6, 2, 9
SUITE = {**NORMS, "variant": {"epochs": 3, "health_epochs": [0, -1], "clip": "value"}}


def with_clips(record: TrialRecord) -> TrialRecord:
    epochs = tuple(e.model_copy(update={"clipped_steps": e.steps // 2}) for e in record.epochs)
    return looked_at(record.model_copy(update={"epochs": epochs}))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", SUITE, change=with_clips)


def test_one_row_per_trial_examination_and_layer_in_planned_order(folder: RunFolder) -> None:
    health = bench.load_health(folder.path)
    assert len(health) == TRIALS * EXAMINATIONS * LAYERS
    trials = load_trials(folder.path)
    assert health["trial_id"].drop_duplicates().tolist() == trials["trial_id"].tolist()
    first = health[health["trial_id"] == trials["trial_id"][0]]
    assert first["after_epochs"].tolist() == [0] * LAYERS + [3] * LAYERS
    assert first["layer"].tolist() == [*range(LAYERS)] * EXAMINATIONS
    assert first["depth"].tolist() == [0, 1, 1, 2, 2, 3] * EXAMINATIONS
    assert dict(health.dtypes.astype(str)) == health_columns()


def test_values_equal_those_of_the_records(folder: RunFolder) -> None:
    record = next(iter(folder.records()))
    trial_health = load_health(folder.path).query("trial_id == @record.trial.trial_id")
    for examination in record.health:
        rows = trial_health[trial_health["after_epochs"] == examination.after_epochs]
        for name in ("output_mean", "gradient_norm", "dead_fraction", "overflow_fraction"):
            expected = [math.nan if v is None else v for v in getattr(examination, name)]
            assert rows[name].tolist() == pytest.approx(expected, nan_ok=True)


def test_step_shares_are_of_the_previous_epoch(folder: RunFolder) -> None:
    health = load_health(folder.path)
    shares = health.groupby("after_epochs")["clipped_share"].agg(["min", "max", "count"])
    assert shares.loc[0, "count"] == 0
    assert (shares.loc[3, "min"], shares.loc[3, "max"]) == (859 / 1718, 859 / 1718)
    assert health["skipped_share"].isna().all()


def test_overflow_is_infinite_and_a_missing_value_null(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", SUITE, change=lambda r: looked_at(r, exploded=True))
    health = load_health(folder.path)
    products = health["kind"] == "dense"
    assert (health.loc[products, "gradient_norm"] == math.inf).all()
    assert health.loc[~products, "gradient_norm"].isna().all()


def test_loading_can_be_limited_to_variants(folder: RunFolder) -> None:
    trials = load_trials(folder.path)
    wanted = trials["variant_id"].unique()[:1]
    health = load_health(folder.path, wanted)
    assert health["variant_id"].unique().tolist() == wanted.tolist()
    assert len(health) == 3 * EXAMINATIONS * LAYERS


def test_run_without_examinations_has_columns_but_no_rows(tmp_path: Path) -> None:
    health = load_health(make_run(tmp_path / "run").path)
    assert len(health) == 0
    assert dict(health.dtypes.astype(str)) == health_columns()


def test_old_records_without_health_are_read(folder: RunFolder) -> None:
    for path in folder.trials.iterdir():
        record = json.loads(path.read_text())
        del record["health"], record["measures"]["health_s"]
        del record["trial"]["variant"]["health_epochs"]
        path.write_text(json.dumps(record))
    assert load_health(folder.path).empty
    trials = load_trials(folder.path)
    assert set(trials["health_epochs"]) == {"[]"}
    assert trials["health_s"].isna().all()
    assert all(record.health == () for record in folder.records())


def test_damaged_examination_is_named_with_its_trial(folder: RunFolder) -> None:
    path = next(folder.trials.iterdir())
    record = json.loads(path.read_text())
    del record["health"][0]["kind"]
    path.write_text(json.dumps(record))
    with pytest.raises(RunFolderError, match=path.stem):
        load_health(folder.path)


def test_examinations_do_not_change_other_tables(tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain", {**SUITE, "variant": {"epochs": 3, "clip": "value"}})
    examined = make_run(tmp_path / "looked", SUITE, change=looked_at)
    with_health, without_health = (
        load_trials(f.path).drop(columns="health_epochs") for f in (examined, plain)
    )
    pd.testing.assert_frame_equal(with_health, without_health)
