"""Format one attempt at a trial: its outcome, its settings and its measurements.

Usage:
    print(trial_text(record))

Names are the columns of ``bench.load_trials``; numbers are rounded and have units. One differs:
``examples_per_s`` is over the median epoch time, as in the tables, and not over all epochs.
"""

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.records.epoch_record import EpochRecord
from bench.records.metric import METRICS, Metric
from bench.records.trial_record import TrialRecord
from bench.report.text.environment_text import excluded_gpus_text
from bench.report.text.escaping import plain
from bench.report.text.number_text import UNKNOWN, duration, number, scale_of

_UNITS = {"_s": "s", "_bytes": "B", "_bytes_per_step": "B", "_j": "J", "_w": "W"}
_DIGITS = 4
_WIDTH = 96
_EPOCH_COLUMNS = (
    *("epoch_s", "examples_per_s", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
    *("repeats", "clipped_steps", "skipped_steps", "input_wait_s"),
)


def trial_text(record: TrialRecord) -> str:
    """Return all facts about an attempt, in groups; of missing measurements only the names."""
    measures = {
        "epoch_s": record.epoch_s,
        "examples_per_s": throughput(record),
        **record.measures.model_dump(),
    }
    groups = {
        "": dict(_facts(record)),
        "Settings": {k: _setting(v) for k, v in record.trial.variant.canonical().items()},
        "Measured": {k: value_text(k, v) for k, v in measures.items() if v is not None},
        "Resolved": dict(_flatten(record.resolved)),
    }
    lines = [f"{record.trial.trial_id}  {plain(record.trial.label)}"]
    for title, rows in groups.items():
        if rows:
            lines += [*([f"\n{title}"] if title else []), *_aligned_lines(rows)]
        if title == "Measured":
            lines += _missing_lines(measures)
            lines += _epoch_lines(record.epochs)
    if record.log_tail:
        lines += ["\nEnd of the log"]
        lines += [f"  {plain(line)}" for line in record.log_tail.strip("\n").splitlines()]
    return "\n".join(lines)


def throughput(record: TrialRecord) -> float | None:
    """Return examples per second over ``epoch_s``, so that the two always agree."""
    epoch_s = record.epoch_s
    return None if epoch_s is None else record.steady_epochs[0].examples / epoch_s


def value_text(name: str, value: Any) -> str:
    """Return a measured value, rounded, with the unit that the end of its name gives."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return plain(str(value))
    metric = METRICS.get(name) or Metric(name, name, _unit(name), "neither", _DIGITS)
    if isinstance(value, int) and not metric.unit:
        return f"{value:,}"
    scale = scale_of([value], metric)
    return f"{number(value, max(metric.digits, _DIGITS), scale)} {scale.unit}".rstrip()


def table_lines(rows: Iterable[Iterable[str]]) -> list[str]:
    """Return rows of cells in aligned columns; the first row has the headers."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _facts(record: TrialRecord) -> Iterator[tuple[str, str]]:
    trial = record.trial
    yield "status", record.status
    if record.error:
        yield "error", plain(record.error)
    yield "variant", trial.variant_id
    yield "block", f"{trial.block}, position {trial.order} in the plan, seed {trial.seed}"
    yield "attempt", f"{record.attempt}, by invocation {record.invocation}"
    if record.started_at:
        yield "started", plain(record.started_at)
    yield "took", duration(record.wall_s)
    if record.node:
        yield "ran on", plain(f"{', '.join(record.devices) or 'unknown devices'} of {record.node}")
    variant = trial.variant
    if variant.is_capped:
        whole = f"{variant.whole_epoch_steps:,}"
        yield "epochs capped", f"to {variant.steps_per_epoch:,} of {whole} steps (max_steps)"
    warnings = (*map(excluded_gpus_text, record.left_out), *record.warnings)
    for i, text in enumerate(warnings, start=1):
        yield f"warning {i}", plain(text)
    if record.health:
        epochs = ", ".join(str(health.after_epochs) for health in record.health)
        yield "layers", f"inspected after epochs {epochs}: see bench.load_health"


def _epoch_lines(epochs: Iterable[EpochRecord]) -> list[str]:
    rows = [
        {
            "epoch": f"{epoch.epoch}{' (warm-up)' if epoch.warmup else ''}",
            **{name: getattr(epoch, name) for name in _EPOCH_COLUMNS},
        }
        for epoch in epochs
    ]
    columns = [name for name in _EPOCH_COLUMNS if any(row[name] is not None for row in rows)]
    if not rows:
        return []
    texts = [
        [row["epoch"], *(UNKNOWN if row[n] is None else value_text(n, row[n]) for n in columns)]
        for row in rows
    ]
    return ["\nEpochs", *(f"  {line}" for line in table_lines([["epoch", *columns], *texts]))]


def _missing_lines(measures: Mapping[str, Any]) -> list[str]:
    names = [name for name, value in measures.items() if value is None]
    text = f"not measured: {', '.join(names)}" if names else ""
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")


def _aligned_lines(rows: Mapping[str, str]) -> list[str]:
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {text}".rstrip() for name, text in rows.items()]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield plain(f"{prefix}{name}"), _setting(value)


def _setting(value: Any) -> str:
    return plain(value if isinstance(value, str) else json.dumps(value))


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
