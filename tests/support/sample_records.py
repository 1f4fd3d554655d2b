"""Run folders with real records, without any training.

Usage:
    folder = make_run(tmp_path / "run", NORMS, epoch_s=lambda trial, epoch: 0.5)
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.records.epoch_record import EpochRecord
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.records.run_folder import RunFolder
from bench.records.run_info import Invocation, RunInfo
from bench.records.trial_record import TrialRecord
from bench.spec.expand import expand
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import parse_suite

NORMS: dict[str, Any] = {
    "name": "norms",
    "description": "What batch normalisation costs",
    "blocks": 3,
    "seed": 7,
    "variant": {"epochs": 3},
    "matrix": {"norm": ["none", "bn_post", "bn_pre"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
ENVIRONMENT: dict[str, Any] = {
    "driver": {
        "os": {"name": "Debian GNU/Linux 12"},
        "python": {"version": "3.11.7"},
        "cpu": {"model": "Model 1 CPU", "logical_cores": 4, "usable_cores": 2},
        "memory": {"total_bytes": 16 * 10**9, "limit_bytes": None},
        "gpus": [],
        "packages": {"tensorflow": "2.21.0", "keras": "3.15.1", "ray": "2.60.0"},
        "source": {"commit": "0123456789abcdef0123", "dirty": True},
        "variables": {"OMP_NUM_THREADS": "2"},
    }
}

_EpochTime = Callable[[Trial, int], float]
Change = Callable[[TrialRecord], TrialRecord | None]


def half_a_second(trial: Trial, epoch: int) -> float:
    """Return epoch times that differ a little by block and epoch."""
    return 0.5 + 0.01 * trial.block + 0.001 * epoch


def no_record(_record: TrialRecord) -> None:
    """A ``change`` for trials that have not run yet."""


def make_record(trial: Trial, epoch_s: _EpochTime = half_a_second) -> TrialRecord:
    """Return the record of a completed trial with every measure of a CPU machine."""
    variant = trial.variant
    steps = variant.steps_per_epoch
    epochs = tuple(
        EpochRecord(
            epoch=e,
            warmup=e < variant.warmup_epochs,
            epoch_s=epoch_s(trial, e),
            examples=steps * variant.global_batch_size,
            steps=steps,
            train_loss=1 / (e + 1),
            train_accuracy=min(1.0, 0.8 + 0.01 * e),
            val_loss=1.1 / (e + 1),
            val_accuracy=min(1.0, 0.79 + 0.01 * e + 0.001 * trial.block),
            evaluate_s=0.02,
        )
        for e in range(variant.epochs)
    )
    return TrialRecord(
        trial=trial,
        status="completed",
        started_at="2026-01-01T00:00:00Z",
        wall_s=4.0 + sum(e.epoch_s for e in epochs),
        node="node-1",
        devices=("CPU:0",),
        resolved={
            "xla": variant.jit != "none",
            "policy": variant.precision,
            "window_steps": 100,
            "pid": 1000 + trial.order,
        },
        measures=Measures(
            parameters=266_610,
            trainable_parameters=266_610,
            import_s=2.0,
            data_load_s=0.25,
            build_s=0.25,
            cold_start_s=1.0,
            evaluate_s=0.1,
            total_s=3.9,
            test_loss=0.6,
            test_accuracy=min(1.0, 0.8 + 0.001 * trial.block),
            weights_l2=12.5,
            peak_rss_bytes=10**9,
        ),
        epochs=epochs,
    )


def looked_at(record: TrialRecord, *, exploded: bool = False) -> TrialRecord:
    """Add the layer examinations that the variant plans: two relu layers, one value each."""
    health = tuple(
        _examination(epochs, record.trial.block, exploded)
        for epochs in range(record.trial.variant.epochs + 1)
        if record.trial.variant.measures_health_after(epochs)
    )
    return record.model_copy(update={"health": health})


def _examination(after_epochs: int, block: int, exploded: bool) -> HealthRecord:
    kind = ("flatten", "dense", "activation", "dense", "activation", "dense")
    weighted, hidden = ([k == wanted for k in kind] for wanted in ("dense", "activation"))
    size = math.inf if exploded else 1e-3 * (1 + after_epochs) + 1e-4 * block

    def of(mask: list[bool], scale: float = 1.0) -> tuple[float | None, ...]:
        return tuple(size * scale**i if c else None for i, c in enumerate(mask))

    all_layers = [True] * len(kind)
    return HealthRecord(
        after_epochs=after_epochs,
        kind=kind,
        depth=(0, 1, 1, 2, 2, 3),
        output_mean=of(all_layers, 0.5),
        output_variance=of(all_layers, 2.0),
        output_gradient_variance=of(all_layers, 0.1),
        saturated_fraction=of([False] * len(kind)),
        dead_fraction=of(hidden),
        gradient_norm=of(weighted, 10.0),
        update_ratio=of(weighted, 0.1),
        clipped_fraction=of(weighted),
        overflow_fraction=tuple(0.0 if c else None for c in weighted),
        moving_mean_drift=of([False] * len(kind)),
        moving_variance_drift=of([False] * len(kind)),
    )


def make_run(
    path: Path,
    suite: Mapping[str, Any] = NORMS,
    *,
    epoch_s: _EpochTime = half_a_second,
    change: Change = lambda record: record,
    invocations: int = 1,
    environment: Mapping[str, Any] = ENVIRONMENT,
) -> RunFolder:
    """Create a run folder of ``suite`` where each trial has the record that ``change`` returns.

    A trial for which ``change`` returns None has no record.
    """
    parsed = parse_suite(suite)
    plan = make_plan(parsed)
    records = [changed for t in plan.trials if (changed := change(make_record(t, epoch_s)))]
    invocation = Invocation(
        started_at="2026-01-01T00:00:00Z",
        command=("bench", "run", str(suite["name"])),
        executor="simulated",
        environment=dict(environment),
        wall_s=sum(r.wall_s or 0.0 for r in records) / invocations + 1.0,
    )
    info = RunInfo(
        suite=parsed.model_dump(mode="json"),
        pairs=plan.pairs,
        trial_ids=tuple(t.trial_id for t in plan.trials),
        labels={cell.variant.id: cell.label for cell in expand(parsed)},
        invocations=(invocation,) * invocations,
    )
    folder = RunFolder.create(path, info)
    for record in records:
        folder.write(record)
    return folder
