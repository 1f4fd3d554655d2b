"""Run one suite with each mode of turns, and compare how far a block's ratio varies.

Usage:
    python -m tests.perf.turn_mode_runs results/runs/turns --blocks 12 --publish

The three modes take turns themselves: each block of the suite runs once in every mode, in balanced
order, then once more in every mode while another process keeps a core busy. A change of the machine
meets all modes alike. Each of the six runs has a folder, which a later call with more blocks
extends. The command prints the table that docs/results.md has. ``--publish`` copies the runs to
results/published/turns, from which `make results` writes that table.
"""

import argparse
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bench
from bench.api import ExecutorName
from bench.records.run_folder import RunFolder
from bench.report.publishing.publish import publish
from bench.spec.arm_order import ArmOrders
from bench.spec.suite import Suite, parse_suite
from bench.spec.turn_settings import TurnMode
from docs.generate.turn_modes import LOADED, MODES, TURNS, folder_name, turn_modes
from tests.perf.busy_process import busy_process

SUITE: dict[str, Any] = {
    "name": "turns",
    "description": "How far the ratio of a block varies: batch norm over none, batch 32.",
    "seed": 20261130,
    "variant": {
        "hidden": [300, 100],
        "dataset": "fashion_mnist",
        "global_batch_size": 32,
        "epochs": 5,
    },
    "matrix": {"norm": ["none", "bn_post"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
HOW: dict[TurnMode, str] = {
    "trial": "The trials of a block ran one after another.",
    "epoch": "The epochs of a block's trials took turns.",
    "window": "Windows of steps of a block's trials took turns.",
}
REMARKS = {False: "", True: "One other process kept a core busy."}
Load = Callable[[], contextlib.AbstractContextManager[None]]


def run_modes(
    content: Mapping[str, Any],
    root: Path,
    blocks: int,
    executor: ExecutorName = "ray",
    load: Load = busy_process,
    loaded: Sequence[bool] = LOADED,
) -> None:
    """Run the suite ``content`` into a folder of ``root`` for each mode and each of ``loaded``.

    ``load`` keeps a core busy. Folders that exist are extended to ``blocks`` blocks.
    """
    orders = ArmOrders(len(MODES), str(content["seed"]))
    for block in range(blocks):
        for is_loaded in loaded:
            with load() if is_loaded else contextlib.nullcontext():
                for index in orders.row(block):
                    suite = _suite(content, MODES[index], block + 1)
                    _extend(suite, root / folder_name(MODES[index], is_loaded), executor)


def publish_modes(root: Path, into: Path) -> None:
    """Publish the folders of ``run_modes``; those of an earlier measurement are replaced."""
    for mode in MODES:
        for loaded in LOADED:
            name = folder_name(mode, loaded)
            publish(root / name, name, into, replace=True, remark=REMARKS[loaded])


def _suite(content: Mapping[str, Any], mode: TurnMode, blocks: int) -> Suite:
    description = f"{content['description']} {HOW[mode]}"
    return parse_suite({**content, "description": description, "turns": mode, "blocks": blocks})


def _extend(suite: Suite, folder: Path, executor: ExecutorName) -> None:
    """Run the blocks that ``folder`` lacks; more blocks than the suite has stay."""
    exists = folder.exists()
    if exists and RunFolder.open(folder).suite().blocks > suite.blocks:
        return
    result = bench.run(suite, folder, resume=exists, executor=executor)
    if not result.succeeded:
        raise SystemExit(f"{folder}: some trials failed: bench report {folder}")


def main() -> None:
    """Measure, publish if asked to, and print the table."""
    parser = argparse.ArgumentParser(description="Run one suite with each mode of turns.")
    parser.add_argument("root", type=Path, help="where the run folders are, or will be")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--publish", action="store_true", help=f"publish the runs in {TURNS}")
    options = parser.parse_args()
    run_modes(SUITE, options.root, options.blocks)
    if options.publish:
        publish_modes(options.root, TURNS)
    print(turn_modes(options.root))


if __name__ == "__main__":
    main()
