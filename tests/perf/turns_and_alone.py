"""Compare the epoch times of arms that take turns with those of processes that run alone.

Usage:
    python -m tests.perf.turns_and_alone results/published/turns/alone.csv --blocks 12

Every block trains twice, in alternating order: once with its arms in turns, and once with one
process after another, in which no other arm is alive. Blocks of a small batch, with many short
steps, and of a large one follow each other. The command writes a row for each trial, with the CPU
time that it took while others had their turns, and prints the table of docs/performance.md.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.datasets.load import load_arrays
from bench.execution.executor import Limits
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.turns.arm_run import TurnLog
from bench.execution.turns.coordinator import TurnSettings, run_block
from bench.protocol.shared_arrays import SharedArrays
from bench.records.trial_record import TrialRecord
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import parse_suite
from bench.spec.turn_settings import TurnMode
from docs.generate.turn_measurements import TrialRow, alone_table
from tests.perf.row_file import write_rows
from tests.perf.trial_arms import PATIENCE_S, cpu_arm, cpu_variables
from tests.support.cpu_of_turns import CpuOfTurns

SUITE: dict[str, Any] = {
    "name": "turns-and-alone",
    "seed": 20261130,
    "variant": {"hidden": [300, 100], "dataset": "fashion_mnist", "epochs": 8},
    "matrix": {"global_batch_size": [32, 512], "norm": ["none", "bn_post"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
LIMITS = Limits(trial_timeout_s=PATIENCE_S, stall_timeout_s=PATIENCE_S)


def measure_blocks(content: Mapping[str, Any], blocks: int) -> Iterator[TrialRow]:
    """Train each block of the suite ``content`` in turns and in sequence; yield a row a trial."""
    plan = make_plan(parse_suite({**content, "blocks": blocks}), "cpu")
    with (
        tempfile.TemporaryDirectory() as folder,
        SharedArrays(load_arrays(plan.trials[0].variant)) as shared,
    ):
        for block in plan.blocks:
            modes: Sequence[TurnMode] = ("window", "trial")
            for mode in modes if block.repeat % 2 else reversed(modes):
                yield from _train(block.trials, mode, shared, Path(folder) / "log")


def _train(
    trials: Sequence[Trial], mode: TurnMode, shared: SharedArrays, log: Path
) -> list[TrialRow]:
    with PreloaderClient(variables=cpu_variables()) as preloader:
        arms = [cpu_arm(preloader, trial, shared, log) for trial in trials]
        cpu, records = CpuOfTurns(arms), list[TrialRecord]()
        settings = TurnSettings(mode, seed=f"{trials[0].seed}")
        for event in run_block(arms, settings, LIMITS, dict):
            match event:
                case TurnLog():
                    cpu.add(event)
                case TrialRecord():
                    records.append(event)
                case _:
                    pass
    return [_row(record, mode, cpu) for record in records]


def _row(record: TrialRecord, mode: TurnMode, cpu: CpuOfTurns) -> TrialRow:
    trial = record.trial
    if record.epoch_s is None:
        raise SystemExit(f"{trial.label}: {record.status}: {record.error}")
    return TrialRow(
        global_batch_size=trial.variant.global_batch_size,
        block=trial.block,
        turns=mode,
        arm=trial.label,
        epoch_s=record.epoch_s,
        waited_s=cpu.waited_s[trial.trial_id],
        waiting_cpu_s=cpu.waiting_s[trial.trial_id],
    )


def main() -> None:
    """Measure, write the rows and print the table."""
    parser = argparse.ArgumentParser(description="Compare epochs in turns with epochs alone.")
    parser.add_argument("file", type=Path, help="the CSV file to write")
    parser.add_argument("--blocks", type=int, default=12)
    options = parser.parse_args()
    write_rows(options.file, TrialRow, measure_blocks(SUITE, options.blocks))
    print(alone_table(options.file))


if __name__ == "__main__":
    main()
