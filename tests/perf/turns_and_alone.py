"""Compare the epochs of a process in turns with another one with its epochs alone.

Usage:
    python -m tests.perf.turns_and_alone results/published/turns/alone.csv --blocks 24

In every block one arm trains all the time, in a new process. Its epochs form pairs: it trains one
while it takes turns with the other arm, and one after the other arm's process has ended, in
alternating order. Both epochs of a pair follow each other, so that they meet the same state of the
machine. Blocks of a small batch, with many short steps, and of a large one alternate. The command
writes a row for each epoch, with the CPU time of arms that waited, and prints the table of
docs/performance.md.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.datasets.load import load_arrays
from bench.execution.executor import Limits
from bench.execution.trial_processes.preloader_client import PreloaderClient
from bench.execution.turns.arm_run import ArmRun, Outcome
from bench.execution.turns.process_arm import ProcessArm
from bench.execution.turns.schedule import rounds_in_epoch, turn_ends
from bench.protocol.messages import Turn
from bench.protocol.shared_arrays import SharedArrays
from bench.spec.arm_order import ArmOrders
from bench.spec.plan import make_plan
from bench.spec.suite import parse_suite
from bench.spec.turn_settings import DEFAULT_TURN_S, TurnMode
from docs.generate.turn_measurements import EpochRow, alone_table
from tests.perf.row_file import write_rows
from tests.perf.trial_arms import PATIENCE_S, cpu_arm, cpu_variables
from tests.support.cpu_of_turns import CpuOfTurns

SUITE: dict[str, Any] = {
    "name": "turns-and-alone",
    "seed": 20261130,
    "variant": {"hidden": [300, 100], "dataset": "fashion_mnist"},
    "matrix": {"global_batch_size": [32, 512], "norm": ["none", "bn_post"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
PAIRS = 20
"""Pairs of epochs in a block."""
LIMITS = Limits(trial_timeout_s=100 * PATIENCE_S, stall_timeout_s=PATIENCE_S)


def measure_blocks(content: Mapping[str, Any], blocks: int, pairs: int) -> Iterator[EpochRow]:
    """Train each block of the suite ``content``; yield a row for each epoch of its pairs."""
    # One to warm up, and one more, at which no process ends.
    variant = {**content["variant"], "epochs": 2 * pairs + 2}
    plan = make_plan(parse_suite({**content, "variant": variant, "blocks": blocks}), "cpu")
    with (
        tempfile.TemporaryDirectory() as folder,
        SharedArrays(load_arrays(plan.trials[0].variant)) as shared,
    ):
        for block in plan.blocks:
            with PreloaderClient(variables=cpu_variables()) as preloader:
                log = Path(folder) / "log"
                arms = [cpu_arm(preloader, trial, shared, log) for trial in block.trials]
                yield from _BlockOfPairs(arms).run(pairs)


class _BlockOfPairs:
    """Two arms, of which the first trains all the time."""

    def __init__(self, arms: Sequence[ProcessArm]) -> None:
        self._measured, self._other = (ArmRun(arm, LIMITS) for arm in arms)
        self._cpu = CpuOfTurns(arms)
        self._orders, self._rounds = ArmOrders(2, "turns-and-alone"), itertools.count()

    def run(self, pairs: int) -> Iterator[EpochRow]:
        """Train an epoch to warm up, then the pairs."""
        _follow(self._measured.start())
        self._train_alone()
        for pair in range(pairs):
            modes: Sequence[TurnMode] = ("window", "trial")
            for mode in modes if pair % 2 == 0 else reversed(modes):
                yield self._train(pair, mode)
        self._measured.kill()
        self._other.kill()

    def _train(self, pair: int, mode: TurnMode) -> EpochRow:
        before_s = self._waiting_s()
        if mode == "window":
            self._train_in_turns()
        else:
            self._other.kill()
            self._train_alone()
        waited_s, cpu_s = (
            now - before for now, before in zip(self._waiting_s(), before_s, strict=True)
        )
        trial = self._measured.trial
        return EpochRow(
            global_batch_size=trial.variant.global_batch_size,
            block=trial.block,
            arm=trial.variant.norm,
            pair=pair,
            turns=mode,
            epoch_s=self._measured.epochs[-1].epoch_s,
            waited_s=waited_s,
            waiting_cpu_s=cpu_s,
        )

    def _train_alone(self) -> None:
        self._take_turn(self._measured, Turn(round=None, epoch=self._epoch, until_share=1.0))

    def _train_in_turns(self) -> None:
        """Train an epoch of both arms, with the rounds that a coordinator would give them."""
        if not self._other.alive:
            _follow(self._other.start())
        arms = [self._measured, self._other]
        epochs = [len(arm.epochs) for arm in arms]
        epoch_s = [arm.last_epoch_s for arm in arms if arm.last_epoch_s is not None]
        windows = [arm.windows for arm in arms]
        for until_share in turn_ends(rounds_in_epoch("window", windows, epoch_s, DEFAULT_TURN_S)):
            number = next(self._rounds)
            for index in self._orders.row(number):
                turn = Turn(round=number, epoch=epochs[index], until_share=until_share)
                self._take_turn(arms[index], turn)

    @property
    def _epoch(self) -> int:
        return len(self._measured.epochs)

    def _take_turn(self, arm: ArmRun, turn: Turn) -> None:
        started_s = time.monotonic()
        _follow(arm.take_turn(turn))
        self._cpu.add(arm.trial.trial_id, time.monotonic() - started_s)

    def _waiting_s(self) -> tuple[float, float]:
        """Return for how long the arms have waited, and their CPU time meanwhile."""
        return sum(self._cpu.waited_s.values()), sum(self._cpu.waiting_s.values())


def _follow(outcome: Outcome) -> None:
    """Wait until an arm has reached the end of its turn; SystemExit if it ends instead."""
    while True:
        try:
            next(outcome)
        except StopIteration as end:
            if end.value is not None:
                raise SystemExit(f"{end.value.trial.label}: {end.value.error}") from None
            return


def main() -> None:
    """Measure, write the rows and print the table."""
    parser = argparse.ArgumentParser(description="Compare epochs in turns with epochs alone.")
    parser.add_argument("file", type=Path, help="the CSV file to write")
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of epochs in a block")
    options = parser.parse_args()
    write_rows(options.file, EpochRow, measure_blocks(SUITE, options.blocks, options.pairs))
    print(alone_table(options.file))


if __name__ == "__main__":
    main()
