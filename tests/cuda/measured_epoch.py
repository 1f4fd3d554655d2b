"""Count what training makes the GPUs do, on a CUDA stack that computes nothing.

Usage:
    [measured] = measure(stack, [variant], gpus=2, folder=tmp_path)
    measured.epoch.devices[0].d2h_copies / measured.steps
    python -m tests.cuda.measured_epoch 2 '{"jit": "none", "max_steps": 20}' ...   # as JSON

Each variant's program is built as in a trial. All of them share one fresh process and a strategy.
Placing the data, the cold start and one epoch are counted separately. Losses are garbage, and
ignored.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant
from tests.cuda.counts import Counts
from tests.cuda.stack import Stack, build


@dataclass(frozen=True)
class MeasuredEpoch:
    """Counts of one variant's training."""

    steps: int
    """Steps of the epoch."""
    data_bytes: int
    """Size of the stored images."""
    feed: Counts
    """Counts of placing the data where training reads it."""
    cold_start: Counts
    epoch: Counts
    peak_memory_bytes: tuple[int, ...]
    """The peak of tensor memory on each device during the epoch."""


@dataclass(frozen=True)
class NotMeasured:
    """The program did not run."""

    reason: str
    """TensorFlow's message."""


def measure(
    stack: Stack,
    variants: Sequence[Variant],
    gpus: int,
    folder: Path,
    variables: Mapping[str, str] | None = None,
) -> list[MeasuredEpoch | NotMeasured]:
    """Train an epoch of each of ``variants`` on ``gpus`` devices, in one process.

    The process writes its counts to ``folder``; ``variables`` are added to its environment.
    """
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **(variables or {})}
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.cuda.epoch_process",
            *(variant.model_dump_json() for variant in variants),
        ],
        env=stack.environment(gpus, environment, counters=folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return [_parse(json.loads(line)) for line in result.stdout.splitlines() if line.startswith("{")]


def _parse(answer: dict[str, Any]) -> MeasuredEpoch | NotMeasured:
    if "reason" in answer:
        return NotMeasured(**answer)
    counts = {key: Counts.of_json(answer[key]) for key in ("feed", "cold_start", "epoch")}
    return MeasuredEpoch(**{**answer, **counts})


def main(gpus: str, *settings: str) -> None:
    """Print the counts of each variant's epoch, in total and per step."""
    axes = [fill_defaults(json.loads(text)) for text in settings]
    variants = [Variant.model_validate(each) for each in axes]
    with tempfile.TemporaryDirectory() as folder:
        stack = build(Path(folder) / "stack")
        for measured in measure(stack, variants, int(gpus), Path(folder)):
            per_step = _per_step(measured) if isinstance(measured, MeasuredEpoch) else None
            print(json.dumps({**dataclasses.asdict(measured), "per_step": per_step}))


def _per_step(measured: MeasuredEpoch) -> list[dict[str, float]]:
    counts = (dataclasses.asdict(device) for device in measured.epoch.devices)
    return [
        {name: value / measured.steps for name, value in device.items() if name != "uuid"}
        for device in counts
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
