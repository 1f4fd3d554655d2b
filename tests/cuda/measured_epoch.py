"""What training has the GPUs do, counted on a CUDA stack that computes nothing.

Usage:
    found = measure(stack, variants, gpus=2, folder=tmp_path)
    found[0].epoch.devices[0].d2h_copies / found[0].steps
    python -m tests.cuda.measured_epoch 2 '{"jit": "none", "max_steps": 20}' ...   # as JSON

Each variant's program is built as a trial builds it, in one fresh process for all of them, which
share a strategy. Counts are taken apart of what brings the data to the devices, of the cold start,
and of one epoch. Losses are garbage, and nobody looks at them.
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
    """Of the epoch."""
    data_bytes: int
    """The stored images."""
    feed: Counts
    """Of what brings the data to where training reads it."""
    cold_start: Counts
    epoch: Counts
    peak_memory_bytes: tuple[int, ...]
    """The most that TensorFlow's tensors took of each device during the epoch."""


@dataclass(frozen=True)
class NotMeasured:
    """The program did not run."""

    reason: str
    """What TensorFlow said."""


def measure(
    stack: Stack,
    variants: Sequence[Variant],
    gpus: int,
    folder: Path,
    variables: Mapping[str, str] | None = None,
) -> list[MeasuredEpoch | NotMeasured]:
    """Train an epoch of each of ``variants`` on ``gpus`` devices, in one process.

    ``folder`` is where the process counts; ``variables`` go into its environment.
    """
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", **(variables or {})}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.cuda.epoch_process",
            *(variant.model_dump_json() for variant in variants),
        ],
        env=stack.environment(gpus, quiet, counters=folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [_told(json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]


def _told(answer: dict[str, Any]) -> MeasuredEpoch | NotMeasured:
    if "reason" in answer:
        return NotMeasured(**answer)
    counts = {key: Counts.of_json(answer[key]) for key in ("feed", "cold_start", "epoch")}
    return MeasuredEpoch(**{**answer, **counts})


def main(gpus: str, *settings: str) -> None:
    """Print the counts of each variant's epoch, in all and a step."""
    asked = [fill_defaults(json.loads(text)) for text in settings]
    variants = [Variant.model_validate(axes) for axes in asked]
    with tempfile.TemporaryDirectory() as folder:
        stack = build(Path(folder) / "stack")
        for found in measure(stack, variants, int(gpus), Path(folder)):
            a_step = _a_step(found) if isinstance(found, MeasuredEpoch) else None
            print(json.dumps({**dataclasses.asdict(found), "a_step": a_step}))


def _a_step(found: MeasuredEpoch) -> list[dict[str, float]]:
    counts = (dataclasses.asdict(device) for device in found.epoch.devices)
    return [
        {name: value / found.steps for name, value in device.items() if name != "uuid"}
        for device in counts
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
