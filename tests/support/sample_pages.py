"""Sample runs whose reports have everything: sizes, failures with logs, harmful names."""

import math
from pathlib import Path
from typing import Any

from bench.records.run_folder import RunFolder
from bench.records.trial_record import TrialRecord
from bench.report.charts.figure import Figure
from bench.report.charts.rendering import Drawing, as_svg
from bench.report.charts.report_data import ReportData, read_run
from bench.spec.plan import Trial
from tests.support.sample_records import NORMS, looked_at, make_run

SWEEP: dict[str, Any] = {
    **NORMS,
    "name": "sweep",
    "blocks": 4,
    "variant": {"epochs": 6, "target_accuracy": 0.7, "health_epochs": [0, -1]},
    "matrix": {
        "examples": [5_500, 55_000],
        "global_batch_size": [32, 512],
        "norm": ["none", "bn_post", "bn_pre"],
    },
}
HARMFUL = (
    "plain",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "</SCRIPT ><!--<script>\u2028 &amp; \"quotes' {{7*7}} {% x %} 中",
    "javascript:alert(3) " + "x" * 200,
)
HOSTILE: dict[str, Any] = {
    "name": "hostile",
    "description": "<b>bold</b> {{7*7}} </title><script>alert(4)</script>",
    "blocks": 2,
    "variants": [
        {"label": label, "norm": norm}
        for label, norm in zip(
            HARMFUL, ("none", "bn_post", "bn_pre", "layer", "group"), strict=True
        )
    ],
    "compare": [{"axis": "label", "baseline": "plain"}],
}
LOG = "\n".join(["first line", *map(str, range(30)), "</pre></script><script>alert(5)</script>"])
_COST = {"none": 1.0, "bn_post": 1.5, "bn_pre": 1.4}
_ACCURACY = {"none": 0.78, "bn_post": 0.84, "bn_pre": 0.83}


def sweep_epoch_s(trial: Trial, epoch: int) -> float:
    """Return an epoch time: a cost per step by norm, and a slow first epoch."""
    v = trial.variant
    noise = 1 + 0.004 * math.sin(7 * trial.order + epoch)
    seconds = v.examples / 55_000 * (0.3 + 10 / v.global_batch_size * _COST[v.norm]) + 0.05
    return seconds * noise * (1.6 if epoch == 0 else 1.0)


def learned(record: TrialRecord) -> TrialRecord:
    """Raise the accuracy by epoch; let one trial fail with a log and one run out of memory."""
    v, block = record.trial.variant, record.trial.block
    cell = (v.norm, v.global_batch_size, v.examples, block)
    if cell == ("bn_pre", 512, 55_000, 1):
        update = {"status": "failed", "error": "ValueError: <script>alert(6)</script>"}
        return record.model_copy(update={**update, "log_tail": LOG, "epochs": record.epochs[:2]})
    if cell == ("bn_post", 32, 55_000, 0):
        update = {"status": "out_of_memory", "error": "no room for 3 GB"}
        return record.model_copy(update={**update, "epochs": ()})
    best = _ACCURACY[v.norm] + 0.001 * block
    epochs = tuple(
        e.model_copy(update={"val_accuracy": best * (1 - math.exp(-(e.epoch + 1) / 2))})
        for e in record.epochs
    )
    measures = record.measures.model_copy(update={"test_accuracy": best - 0.01})
    done = record.model_copy(update={"epochs": epochs, "measures": measures})
    return looked_at(done, exploded=v.norm == "none" and block == 3)


def sweep_run(path: Path) -> RunFolder:
    """Make a run of the cost of batch normalization by examples and batch, with two failures."""
    return make_run(path, SWEEP, epoch_s=sweep_epoch_s, change=learned)


def hostile_run(path: Path) -> RunFolder:
    """Make a run whose labels, description, error and log contain markup and scripts."""

    def failing(record: TrialRecord) -> TrialRecord:
        if record.trial.block or record.trial.variant.norm != "layer":
            return record
        update = {"status": "failed", "error": HARMFUL[2], "log_tail": LOG}
        return record.model_copy(update=update)

    return make_run(path, HOSTILE, change=failing)


def read(folder: RunFolder) -> ReportData:
    """Read a run for a report."""
    return read_run(folder.path)


def draw(figure: Figure) -> Drawing:
    """Draw ``figure`` in this process."""
    return Drawing(figure, as_svg(figure.spec, figure.name))
