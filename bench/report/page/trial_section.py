"""Every trial of the page's runs, for the table of trials and for what a trial opens.

Usage:
    trials = TrialTable(runs)
    trials.grid()        # what the table shows
    trials.details()     # columns by trial, epochs, settings, logs: what the script looks up
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.comparison.matched_pairs import examples_used
from bench.records.metric import METRICS
from bench.report.charts.report_data import ReportData
from bench.report.page.page_grid import Column, Grid
from bench.report.text.number_text import scale_of
from bench.spec.variant import Variant

MAX_TRIALS, MAX_EPOCHS, MAX_LOGS, LOG_CHARACTERS = 10_000, 120_000, 300, 6_000
"""What the page holds at most, so that it opens quickly; files hold the rest."""
DIGITS = 5
_MOST_WHOLE = 1e15
"""Whole numbers up to here are kept, and written, as they are."""
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
    """The trials of several runs, failed ones first where not all have room."""

    def __init__(self, runs: Sequence[ReportData]) -> None:
        frames = [run.trials.assign(run=run.name) for run in runs]
        every = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        self.found, self.several = len(every), len(runs) > 1
        if len(every) > MAX_TRIALS:
            done = (every["status"] == "completed").sort_values(kind="stable")
            every = every.loc[sorted(done.index[:MAX_TRIALS])]
        cut = every["extrapolated"].map({True: "cut short", False: "whole"})
        # As the tables have it: the frame's own is a mean over epochs, the epoch time a median.
        throughput = examples_used(every) / every["epoch_s"]
        shown = every.assign(extrapolated=cut, examples_per_s=throughput)
        self.frame = shown.reset_index(drop=True)
        self._runs = runs

    def grid(self) -> Grid:
        """One row a trial; only columns that hold something."""
        columns = [self._column(name) for name in self._shown()]
        return Grid(
            name="trials",
            caption="Every trial",
            columns=tuple(columns),
            opens="trial",
            keys=self.keys(),
        )

    def keys(self) -> list[str]:
        """Each trial's name in the page: its id, after its run's name where there are several."""
        ids = self.frame["trial_id"]
        return (self.frame["run"] + "/" + ids if self.several else ids).tolist()

    def details(self) -> dict[str, Any]:
        """By column, one entry a trial; settings once a variant; epochs one after another."""
        known = [n for n in _DETAILS if self.frame[n].notna().any()]
        epochs, counts = self._epochs()
        return {
            "keys": self.keys(),
            "variantKeys": self._variant_keys(),
            "variants": self._variants(),
            "columns": {n: _plain(self.frame[n]) for n in known},
            "logs": self._logs(),
            "epochs": {n: _plain(epochs[n]) for n in _EPOCHS if epochs[n].notna().any()},
            "epochCounts": counts,
        }

    def omission_note(self) -> str:
        """What the page has no room for."""
        epochs, logs = len(self._kept_epochs), int(self.frame["log_tail"].notna().sum())
        parts = [
            f"{shown:,} of {found:,} {what}"
            for shown, found, what in (
                (len(self.frame), self.found, "trials"),
                (min(epochs, MAX_EPOCHS), epochs, "epochs"),
                (min(logs, MAX_LOGS), logs, "logs"),
            )
            if shown < found
        ]
        return f"In this page are {', '.join(parts)}; the run's folder has all." if parts else ""

    def _shown(self) -> list[str]:
        names = [*(["run"] if self.several else []), *_TEXTS[:2], *_COUNTS, *_NUMBERS, *_TEXTS[2:]]
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

    def _variant_keys(self) -> list[str]:
        ids = self.frame["variant_id"]
        return (self.frame["run"] + "/" + ids if self.several else ids).tolist()

    def _variants(self) -> dict[str, Any]:
        firsts = self.frame.assign(key=self._variant_keys()).drop_duplicates("key")
        names = ["label", *Variant.model_fields]
        rows = firsts[["key", *names]].astype(object).to_numpy().tolist()
        return {
            "names": names,
            "values": {key: [_value(v) for v in values] for key, *values in rows},
        }

    def _epochs(self) -> tuple[pd.DataFrame, list[int]]:
        kept = self._kept_epochs.head(MAX_EPOCHS)
        counts = kept["row"].value_counts().reindex(self.frame.index, fill_value=0)
        return kept.assign(warmup=kept["warmup"].astype(int)), counts.tolist()

    @functools.cached_property
    def _kept_epochs(self) -> pd.DataFrame:
        """Those of the page's trials, in their order, with the row of each."""
        frames = [run.epochs.assign(run=run.name) for run in self._runs]
        every = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        place = pd.Series(self.frame.index, index=self._places(self.frame))
        rows = place.reindex(self._places(every)).to_numpy()
        return every.assign(row=rows).dropna(subset=["row"]).sort_values(["row", "epoch"])

    def _places(self, frame: pd.DataFrame) -> "pd.Index[Any]":
        return pd.Index(frame["run"] + "/" + frame["trial_id"])

    def _logs(self) -> dict[str, str]:
        known = self.frame["log_tail"].dropna().head(MAX_LOGS)
        return {str(row): text[-LOG_CHARACTERS:] for row, text in known.items()}


def _plain(values: "pd.Series[Any]") -> list[Any]:
    """Numbers rounded to a few digits, whole ones whole, nothing where nothing is known."""
    if values.dtype != "float64":
        return [_value(value) for value in values.astype(object).tolist()]
    return _rounded(values.to_numpy())


def _rounded(numbers: np.ndarray[Any, np.dtype[np.float64]]) -> list[Any]:
    """``_value`` of each, of a million in no time."""
    usual = np.isfinite(numbers) & (numbers != 0)
    exponent = np.floor(np.log10(np.abs(numbers), where=usual, out=np.zeros(len(numbers))))
    shift = exponent.astype(int) - (DIGITS - 1)
    # Both ways only by whole powers of ten, which floating point holds exactly.
    up, down = 10.0 ** np.maximum(shift, 0), 10.0 ** np.maximum(-shift, 0)
    with np.errstate(invalid="ignore"):
        rounded = np.where(usual, np.rint(numbers / up * down) / down * up, numbers)
        whole = usual & (numbers == np.rint(numbers)) & (np.abs(numbers) < _MOST_WHOLE)
    found = rounded.astype(object)
    found[whole] = numbers[whole].astype(np.int64).tolist()
    found[numbers == 0] = 0
    found[np.isnan(numbers)] = None
    return list(found)


def _value(value: Any) -> Any:
    if isinstance(value, float):
        if value != value:
            return None
        rounded = float(f"{value:.{DIGITS - 1}e}")
        whole = abs(value) < _MOST_WHOLE and value == int(value)
        return int(value) if whole else rounded
    return value if isinstance(value, bool | int | str) else None
