"""List the trials of a run, one per line, in the order of the plan.

Usage:
    rows = trial_rows(folder.info(), folder.records())
    print(trials_text(rows))
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from bench.records.run_info import RunInfo
from bench.records.trial_record import TrialRecord
from bench.report.text.escaping import plain
from bench.report.text.number_text import UNKNOWN, duration
from bench.report.text.trial_text import table_lines, throughput, value_text


@dataclass(frozen=True)
class TrialRow:
    """One trial of the list. Without a record, all but its ids and its label is None."""

    trial_id: str
    variant_id: str
    label: str
    status: str | None = None
    attempt: int | None = None
    epoch_s: float | None = None
    examples_per_s: float | None = None
    test_accuracy: float | None = None
    wall_s: float | None = None
    error: str | None = None


def trial_rows(info: RunInfo, records: Iterable[TrialRecord]) -> list[TrialRow]:
    """Return a row for every planned trial, with the outcome of its last attempt."""
    rows = {record.trial.trial_id: _row(record) for record in records}
    return [
        rows.get(trial_id) or _row_without_record(trial_id, info) for trial_id in info.trial_ids
    ]


def trials_text(rows: Iterable[TrialRow]) -> str:
    """Return one line per trial: id, status, times, accuracy and label."""
    headers = ["trial", "status", "epoch_s", "test_accuracy", "took", "label"]
    return "\n".join(table_lines([headers, *map(_cells, rows)]))


def trials_json(rows: Iterable[TrialRow]) -> str:
    """Return the same as JSON, with raw numbers and null for unknown values."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def _cells(row: TrialRow) -> list[str]:
    measures = {"epoch_s": row.epoch_s, "test_accuracy": row.test_accuracy}
    return [
        row.trial_id,
        row.status or "no record",
        *(UNKNOWN if v is None else value_text(name, v) for name, v in measures.items()),
        duration(row.wall_s),
        plain(row.label),
    ]


def _row(record: TrialRecord) -> TrialRow:
    return TrialRow(
        trial_id=record.trial.trial_id,
        variant_id=record.trial.variant_id,
        label=record.trial.label,
        status=record.status,
        attempt=record.attempt,
        epoch_s=record.epoch_s,
        examples_per_s=throughput(record),
        test_accuracy=record.measures.test_accuracy,
        wall_s=record.wall_s,
        error=record.error,
    )


def _row_without_record(trial_id: str, info: RunInfo) -> TrialRow:
    variant_id = trial_id.split("-")[1]
    return TrialRow(trial_id, variant_id, info.labels.get(variant_id, variant_id))
