"""Tests of the data frames: columns, nulls, definitions and files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.analysis.loading.data_frames import load_attempts, load_epochs, load_trials
from bench.analysis.loading.frame_columns import STABLE_EPOCH_COLUMNS, STABLE_TRIAL_COLUMNS
from bench.analysis.loading.run_frames import read_frames, write_tables
from bench.errors import RunFolderError, StorageError
from bench.records.epoch_record import EpochRecord
from bench.records.measures import Measures
from bench.records.run_folder import RunFolder
from bench.records.trial_record import Status, TrialRecord
from bench.spec.defaults import fill_defaults
from bench.spec.plan import Trial
from bench.spec.variant import Variant
from tests.support.sample_records import NORMS, make_record, make_run, no_record


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run")


def failed_in_first_block(record: TrialRecord) -> TrialRecord:
    if record.trial.block or record.trial.variant.norm != "bn_pre":
        return record
    failed = {"status": "failed", "error": "ValueError: no", "log_tail": "one\ntwo", "epochs": ()}
    return record.model_copy(update={**failed, "measures": Measures()})


def test_stable_columns_come_first_in_order(folder: RunFolder) -> None:
    assert tuple(load_trials(folder.path))[: len(STABLE_TRIAL_COLUMNS)] == STABLE_TRIAL_COLUMNS
    assert tuple(load_epochs(folder.path))[: len(STABLE_EPOCH_COLUMNS)] == STABLE_EPOCH_COLUMNS


def test_every_setting_and_measure_has_a_column(folder: RunFolder) -> None:
    columns = set(load_trials(folder.path).columns)
    assert columns >= {*Variant.model_fields, *Measures.model_fields, "attempt", "invocation"}


def test_rows_are_in_planned_order(folder: RunFolder) -> None:
    trials = load_trials(str(folder.path))
    assert trials["order"].tolist() == list(range(9))
    assert trials["trial_id"].tolist() == list(folder.info().trial_ids)
    epochs = load_epochs(folder.path)
    assert epochs["trial_id"].drop_duplicates().tolist() == trials["trial_id"].tolist()
    assert epochs["epoch"].tolist() == [0, 1, 2] * 9


def test_settings_use_the_words_of_the_suite_and_are_not_null(folder: RunFolder) -> None:
    trials = load_trials(folder.path)
    assert set(trials["norm"]) == {"none", "bn_post", "bn_pre"}
    assert set(trials["clip"]) == {"none"}
    assert set(trials["hidden"]) == {"[300, 100]"}
    settings_ = [
        name
        for name in Variant.model_fields
        if name not in ("target_accuracy", "max_steps", "threads")
    ]
    assert not trials[settings_].isna().any().any()


def test_missing_measures_are_null_not_zero(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", change=failed_in_first_block)
    failed = load_trials(folder.path).query("status == 'failed'").iloc[0]
    assert failed["error"] == "ValueError: no"
    assert failed["log_tail"] == "one\ntwo"
    for name in (*Measures.model_fields, "epoch_s", "examples_per_s", "train_loss", "train_s"):
        assert pd.isna(failed[name]), name


def test_counts_stay_integers_beside_nulls(tmp_path: Path) -> None:
    trials = load_trials(make_run(tmp_path / "run", change=failed_in_first_block).path)
    for name in ("parameters", "peak_rss_bytes", "peak_device_memory_bytes", "flops_per_step"):
        assert trials[name].dtype == pd.Int64Dtype(), name
    assert trials["throttled"].dtype == pd.BooleanDtype()
    assert trials["parameters"].dropna().unique().tolist() == [266_610]
    assert load_epochs(tmp_path / "run")["clipped_steps"].dtype == pd.Int64Dtype()


def test_run_without_records_has_empty_frames(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", change=no_record)
    full = make_run(tmp_path / "other")
    for load in (load_trials, load_epochs, load_attempts):
        empty = load(folder.path)
        assert len(empty) == 0
        assert empty.dtypes.equals(load(full.path).dtypes)


def test_trials_hold_last_attempts_and_attempts_hold_all(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", change=failed_in_first_block)
    first = next(r for r in folder.records() if r.status == "failed")
    folder.write(make_record(first.trial).model_copy(update={"attempt": 2, "invocation": 1}))
    assert load_trials(folder.path)["status"].tolist() == ["completed"] * 9
    attempts = load_attempts(folder.path)
    assert len(attempts) == 10
    both = attempts[attempts["trial_id"] == first.trial.trial_id]
    assert both[["attempt", "status"]].to_numpy().tolist() == [[1, "failed"], [2, "completed"]]
    assert len(load_epochs(folder.path)) == 27


def test_non_finite_loss_is_read_back(tmp_path: Path) -> None:
    def diverged(record: TrialRecord) -> TrialRecord:
        last = record.epochs[-1].model_copy(update={"train_loss": float("inf")})
        return record.model_copy(
            update={"status": "diverged", "epochs": (*record.epochs[:2], last)}
        )

    folder = make_run(tmp_path / "run", change=diverged)
    assert load_trials(folder.path)["train_loss"].tolist() == [np.inf] * 9
    assert load_epochs(folder.path)["train_loss"].tolist()[:3] == [1.0, 0.5, np.inf]


def test_nan_accuracy_of_an_old_record_is_null_and_reaches_no_target(
    tmp_path: Path,
) -> None:
    suite = {**NORMS, "variant": {"epochs": 2, "target_accuracy": 0.05}}
    folder = make_run(tmp_path / "run", suite)
    for path in folder.trials.iterdir():
        record = json.loads(path.read_text())
        record["status"] = "diverged"
        record["measures"].update(test_loss="NaN", test_accuracy=0.1)
        for epoch in record["epochs"]:
            epoch.update(train_loss="NaN", train_accuracy=0.1, val_loss="NaN", val_accuracy=0.1)
        path.write_text(json.dumps(record))
    trials, epochs = load_trials(folder.path), load_epochs(folder.path)
    assert trials[["val_accuracy", "test_accuracy"]].isna().all(axis=None)
    assert epochs[["train_accuracy", "val_accuracy"]].isna().all(axis=None)
    assert set(trials["time_to_accuracy_s"]) == {np.inf}
    for record in folder.records():
        assert record.time_to_accuracy_s() == np.inf
        assert record.epochs[0].val_accuracy is None
        assert record.measures.test_accuracy is None


def test_diverged_trial_without_epochs_did_not_reach_its_target(tmp_path: Path) -> None:
    suite = {**NORMS, "variant": {"epochs": 2, "target_accuracy": 0.05}}
    failed = {"status": "diverged", "epochs": ()}
    folder = make_run(tmp_path / "run", suite, change=lambda r: r.model_copy(update=failed))
    assert set(load_trials(folder.path)["time_to_accuracy_s"]) == {np.inf}


_EPOCHS = st.lists(
    st.builds(
        EpochRecord,
        epoch=st.just(0),
        warmup=st.booleans(),
        epoch_s=st.floats(1e-6, 1e6),
        examples=st.integers(1, 10**9),
        steps=st.integers(1, 10**6),
        train_loss=st.floats(),
        train_accuracy=st.floats(0, 1),
        val_loss=st.none() | st.floats(),
        val_accuracy=st.none() | st.floats(0, 1),
    ),
    max_size=6,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            _EPOCHS, st.none() | st.floats(0.01, 1), st.sampled_from(["completed", "diverged"])
        ),
        min_size=1,
        max_size=4,
    )
)
def test_frames_and_records_define_columns_alike(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[list[EpochRecord], float | None, Status]],
) -> None:
    folder = make_run(tmp_path_factory.mktemp("runs") / "run", change=no_record)
    for i, (epochs, target, status) in enumerate(drawn):
        variant = Variant.model_validate({**fill_defaults({}), "target_accuracy": target})
        trial = Trial(
            trial_id=sorted(folder.info().trial_ids)[i],
            variant_id=variant.id,
            label="",
            block=0,
            order=i,
            seed=0,
            variant=variant,
        )
        measures = Measures(cold_start_s=1.5)
        numbered = tuple(e.model_copy(update={"epoch": n}) for n, e in enumerate(epochs))
        folder.write(TrialRecord(trial=trial, status=status, epochs=numbered, measures=measures))
    trials = load_trials(folder.path)
    for row, record in zip(trials.itertuples(), folder.records(), strict=True):
        times = [row.epoch_s, row.examples_per_s, row.time_to_accuracy_s]
        assert [*times, row.time_to_accuracy_with_cold_start_s] == pytest.approx(
            [
                _or_nan(record.epoch_s),
                _or_nan(record.examples_per_s),
                _or_nan(record.time_to_accuracy_s()),
                _or_nan(record.time_to_accuracy_with_cold_start_s()),
            ],
            nan_ok=True,
        )
        last = record.epochs[-1] if record.epochs else None
        assert row.train_loss == pytest.approx(last.train_loss if last else np.nan, nan_ok=True)
        assert row.val_accuracy == pytest.approx(
            _or_nan(last.val_accuracy if last else None), nan_ok=True
        )
    speeds = [epoch.examples_per_s for record in folder.records() for epoch in record.epochs]
    assert load_epochs(folder.path)["examples_per_s"].tolist() == pytest.approx(speeds)


def test_time_to_target_is_infinite_if_not_reached(tmp_path: Path) -> None:
    suite = {**NORMS, "matrix": {"target_accuracy": [0.8, 0.99]}, "compare": []}
    trials = load_trials(make_run(tmp_path / "run", suite, epoch_s=lambda _t, _e: 2.0).path)
    times = trials.groupby("target_accuracy")["time_to_accuracy_s"].unique()
    assert times[0.8].tolist() == [4.0]
    assert times[0.99].tolist() == [np.inf]
    measures = trials["time_to_accuracy_with_cold_start_s"]
    assert measures.tolist() == (trials["time_to_accuracy_s"] + trials["cold_start_s"]).tolist()
    assert set(measures) == {4.0 + trials["cold_start_s"][0], np.inf}


def test_trials_of_later_blocks_reach_their_target_with_the_cold_start_of_the_first(
    tmp_path: Path,
) -> None:
    def cached(record: TrialRecord) -> TrialRecord:
        if record.trial.block == 0:
            return record
        measures = record.measures.model_copy(update={"cold_start_s": None})
        return record.model_copy(update={"measures": measures})

    suite = {**NORMS, "matrix": {"target_accuracy": [0.8]}, "compare": []}
    trials = load_trials(make_run(tmp_path / "run", suite, change=cached).path)
    extra = trials["time_to_accuracy_with_cold_start_s"] - trials["time_to_accuracy_s"]
    assert trials["cold_start_s"].count() == 1
    assert extra.tolist() == pytest.approx([trials["cold_start_s"][0]] * len(trials))


def test_parquet_reads_back_the_same_frames(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", change=failed_in_first_block)
    written = write_tables(read_frames(folder))
    assert sorted(path.name for path in written) == [
        "epochs.csv",
        "epochs.parquet",
        "trials.csv",
        "trials.parquet",
    ]
    for name, frame in (
        ("trials", load_trials(folder.path)),
        ("epochs", load_epochs(folder.path)),
    ):
        pd.testing.assert_frame_equal(pd.read_parquet(folder.table(name, "parquet")), frame)
        text = pd.read_csv(folder.table(name, "csv"))
        assert list(text.columns) == list(frame.columns)
        assert text["epoch_s"].tolist() == pytest.approx(frame["epoch_s"].tolist(), nan_ok=True)


def test_writing_tables_again_replaces_them(folder: RunFolder) -> None:
    write_tables(read_frames(folder))
    before = sorted(p.name for p in folder.path.iterdir())
    write_tables(read_frames(folder))
    assert sorted(p.name for p in folder.path.iterdir()) == before


def test_unwritable_table_is_named_in_the_error(folder: RunFolder) -> None:
    folder.table("trials", "parquet").mkdir()
    (folder.table("trials", "parquet") / "in the way").touch()
    with pytest.raises(StorageError, match=r"trials\.parquet: .*: "):
        write_tables(read_frames(folder))
    assert not list(folder.path.glob(".trials*"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"epoch_s":0.5', '"epoch_s":"slow"', r"b000-.*epoch_s.*--resume"),
        ('"variant":{"workload":"mlp",', '"variant":{', r"b000-.*trial\.variant.*--resume"),
        ('"epochs":[', '"epochs":5,"other":[', r"b000-.*epochs.*--resume"),
        ('{"schema_version"', '{"schema"', r"not a file of bench run"),
        ('{"schema_version":1', '{"schema_version":99', r"newer than 1.*: install a newer"),
        ('"status":', '"status":"', r"damaged .* --resume"),
    ],
)
def test_damaged_record_is_named_with_a_remedy(
    folder: RunFolder, old: str, new: str, message: str
) -> None:
    path = folder.trials / f"{folder.info().trial_ids[0]}.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(RunFolderError, match=message):
        load_trials(folder.path)


def test_other_folders_are_rejected(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunFolderError, match="bench run made"):
            load_trials(place)


def test_old_record_without_a_measure_has_null(folder: RunFolder) -> None:
    for path in folder.trials.glob("*.json"):
        path.write_text(path.read_text().replace('"mfu":null,', "").replace(',"mfu":null', ""))
    trials = load_trials(folder.path)
    assert trials["mfu"].isna().all()
    assert trials["parameters"].notna().all()


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def test_old_epoch_without_repeats_was_timed_once(folder: RunFolder) -> None:
    for path in folder.trials.glob("*.json"):
        record = json.loads(path.read_text())
        for epoch in record["epochs"]:
            del epoch["repeats"]
        path.write_text(json.dumps(record))
    assert set(load_epochs(folder.path)["repeats"]) == {1}
