"""Collect every trial of the page's runs: the table of trials, and the details of each.

Usage:
    trials = TrialTable(runs)
    trials.grid()        # the table
    trials.details()     # the details: columns by trial, epochs, settings and logs
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.loading.trial_filters import examples_used
from bench.records.metric import METRICS
from bench.report.charts.report_data import ReportData
from bench.report.page.page_grid import Column, Grid
from bench.report.text.number_text import scale_of
from bench.report.text.omission_text import omission_note, omitted
from bench.spec.variant import Variant

MAX_TRIALS, MAX_EPOCHS, MAX_LOGS, LOG_CHARACTERS = 10_000, 120_000, 300, 6_000
"""Limits that let the page open quickly; the run folder has the rest."""
DIGITS = 5
_MOST_WHOLE = 1e15
"""Whole numbers below this are not rounded."""
_TEXTS = ("label", "status", "steady", "extrapolated", "node")
_COUNTS = ("block", "seed", "attempt")
_NUMBERS = (
    *("epoch_s", "examples_per_s", "val_accuracy", "test_accuracy", "train_loss"),
    *("time_to_accuracy_s", "cold_start_s", "peak_rss_bytes", "peak_device_memory_bytes"),
    *("energy_j", "weights_l2"),
)
_CHOICES = ("run", "status", "steady", "extrapolated")
_DETAILS = (
    *("error", "devices", "started_at", "wall_s", "import_s", "data_load_s", "build_s"),
    *("evaluate_s", "health_s", "parameters", "flops_per_step", "mfu", "throttled"),
)
_EPOCHS = ("epoch", "warmup", "epoch_s", "train_loss", "val_accuracy")
_TITLES = {
    "label": "Variant",
    "status": "Status",
    "steady": "Steady",
    "extrapolated": "Epochs",
    "node": "Node",
    "block": "Block",
    "seed": "Seed",
    "attempt": "Attempt",
    "weights_l2": "Weights (L2)",
}


class TrialTable:
    """The trials of one or more runs; if there are too many, completed ones are left out first."""

    def __init__(self, runs: Sequence[ReportData]) -> None:
        frames = [run.trials.assign(run=run.name) for run in runs]
        trials = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        self._total, self._several = len(trials), len(runs) > 1
        if len(trials) > MAX_TRIALS:
            completed = (trials["status"] == "completed").sort_values(kind="stable")
            trials = trials.loc[sorted(completed.index[:MAX_TRIALS])]
        cut = trials["extrapolated"].map({True: "cut short", False: "whole"})
        # Like the tables, from the median epoch time; the frame's value is a mean over epochs.
        throughput = examples_used(trials) / trials["epoch_s"]
        shown = trials.assign(extrapolated=cut, examples_per_s=throughput)
        self.frame = shown.reset_index(drop=True)
        self._runs = runs

    def grid(self) -> Grid:
        """Return one row per trial, without empty columns."""
        columns = tuple(self._column(name) for name in self._column_names())
        return Grid("trials", "Every trial", columns, opens="trial", keys=self.keys())

    def keys(self) -> list[str]:
        """Return the key of each trial: its id, after the name of its run if there are several."""
        return self._with_run("trial_id")

    def details(self) -> dict[str, Any]:
        """Return columns by trial, settings by variant, and the epochs of all trials in a row."""
        columns = [n for n in _DETAILS if self.frame[n].notna().any()]
        epochs, counts = self._epochs()
        return {
            "keys": self.keys(),
            "variantKeys": self._with_run("variant_id"),
            "variants": self._variants(),
            "columns": {n: _plain(self.frame[n]) for n in columns},
            "logs": self._logs(),
            "epochs": {n: _plain(epochs[n]) for n in _EPOCHS if epochs[n].notna().any()},
            "epochCounts": counts,
        }

    def omission_note(self) -> str:
        """Return what the page leaves out; "" if it shows everything."""
        epochs, logs = len(self._all_epochs), int(self.frame["log_tail"].notna().sum())
        return omission_note(
            omitted(len(self.frame), self._total, "trials are shown"),
            omitted(min(epochs, MAX_EPOCHS), epochs, "epochs are shown"),
            omitted(min(logs, MAX_LOGS), logs, "logs are shown"),
            elsewhere="the run folder has all",
        )

    def _column_names(self) -> list[str]:
        names = [*(["run"] if self._several else []), *_TEXTS[:2], *_COUNTS, *_NUMBERS, *_TEXTS[2:]]
        optional = {*_NUMBERS, "steady", "node", "attempt"}
        constant = {"steady", "extrapolated", "node", "attempt", "seed"}
        return [
            n
            for n in names
            if not (n in optional and self.frame[n].isna().all())
            and not (n in constant and self.frame[n].nunique() < 2)
        ]

    def _column(self, name: str) -> Column:
        values = self.frame[name]
        if name in METRICS:
            metric = METRICS[name]
            scale = scale_of(values.dropna().tolist(), metric)
            title = f"{metric.title} ({scale.unit})" if scale.unit else metric.title
            return Column(title, _plain(values / scale.divisor), numeric=True)
        numeric = name in (*_COUNTS, "weights_l2")
        title = _TITLES.get(name, name.capitalize())
        return Column(title, _plain(values), numeric, choices=name in _CHOICES)

    def _with_run(self, column: str) -> list[str]:
        ids = self.frame[column]
        return (self.frame["run"] + "/" + ids if self._several else ids).tolist()

    def _variants(self) -> dict[str, Any]:
        variants = self.frame.assign(key=self._with_run("variant_id")).drop_duplicates("key")
        names = ["label", *Variant.model_fields]
        rows = variants[["key", *names]].astype(object).to_numpy().tolist()
        return {
            "names": names,
            "values": {key: [_value(v) for v in values] for key, *values in rows},
        }

    def _epochs(self) -> tuple[pd.DataFrame, list[int]]:
        shown = self._all_epochs.head(MAX_EPOCHS)
        counts = shown["row"].value_counts().reindex(self.frame.index, fill_value=0)
        return shown.assign(warmup=shown["warmup"].astype(int)), counts.tolist()

    @functools.cached_property
    def _all_epochs(self) -> pd.DataFrame:
        """The epochs of the page's trials, in their order, with the row of the trial."""
        frames = [run.epochs.assign(run=run.name) for run in self._runs]
        epochs = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        row_of = pd.Series(self.frame.index, index=self._trial_index(self.frame))
        rows = row_of.reindex(self._trial_index(epochs)).to_numpy()
        return epochs.assign(row=rows).dropna(subset=["row"]).sort_values(["row", "epoch"])

    def _trial_index(self, frame: pd.DataFrame) -> "pd.Index[Any]":
        return pd.Index(frame["run"] + "/" + frame["trial_id"])

    def _logs(self) -> dict[str, str]:
        logs = self.frame["log_tail"].dropna().head(MAX_LOGS)
        return {str(row): text[-LOG_CHARACTERS:] for row, text in logs.items()}


def _plain(values: "pd.Series[Any]") -> list[Any]:
    """Round numbers to a few digits, turn whole ones into integers and unknown ones into None."""
    if values.dtype != "float64":
        return [_value(value) for value in values.astype(object).tolist()]
    return _rounded(values.to_numpy())


def _rounded(numbers: np.ndarray[Any, np.dtype[np.float64]]) -> list[Any]:
    """Apply ``_value`` to an array, fast enough for a million numbers."""
    regular = np.isfinite(numbers) & (numbers != 0)
    exponent = np.floor(np.log10(np.abs(numbers), where=regular, out=np.zeros(len(numbers))))
    shift = exponent.astype(int) - (DIGITS - 1)
    # Multiply and divide only by positive powers of ten, which floating point holds exactly.
    up, down = 10.0 ** np.maximum(shift, 0), 10.0 ** np.maximum(-shift, 0)
    with np.errstate(invalid="ignore"):
        rounded = np.where(regular, np.rint(numbers / up * down) / down * up, numbers)
        is_whole = regular & (numbers == np.rint(numbers)) & (np.abs(numbers) < _MOST_WHOLE)
    values = rounded.astype(object)
    values[is_whole] = numbers[is_whole].astype(np.int64).tolist()
    values[numbers == 0] = 0
    values[np.isnan(numbers)] = None
    return list(values)


def _value(value: Any) -> Any:
    if isinstance(value, float):
        if value != value:
            return None
        rounded = float(f"{value:.{DIGITS - 1}e}")
        is_whole = abs(value) < _MOST_WHOLE and value == int(value)
        return int(value) if is_whole else rounded
    return value if isinstance(value, bool | int | str) else None
