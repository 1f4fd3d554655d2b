"""Print the tables of counted work for docs/gpu.md, as Markdown.

    python -m tests.cuda.table > counters.md          # minutes: XLA compiles each program

A step's work is what ten more steps add to an epoch, divided by ten; an epoch's copies are the
rest. Nothing is timed, since the counting stack computes nothing.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant
from tests.cuda.arrangements import BATCH, JITS, REPLICAS, STEPS, EpochPair
from tests.cuda.measured_epoch import MeasuredEpoch, measure
from tests.cuda.stack import Stack, build

Axes = dict[str, Any]

NORMS: dict[str, Axes] = {
    "none": {},
    "bn_post": {"norm": "bn_post"},
    "bn_post, fused": {"norm": "bn_post", "batch_norm": "fused"},
    "bn_pre": {"norm": "bn_pre"},
    "bn_pre, fused": {"norm": "bn_pre", "batch_norm": "fused"},
    "layer": {"norm": "layer"},
    "group": {"norm": "group"},
}
MLP: Axes = {"hidden": (300, 100)}
NETWORKS: dict[str, Axes] = {"mlp": MLP, "convnet": {"workload": "convnet"}}
Case = tuple[str, str, str]
"""Network, norm and jit."""
WORK: list[Case] = [
    (network, norm, jit)
    for network, norms in {"mlp": NORMS, "convnet": ("none", "bn_post", "bn_post, fused")}.items()
    for norm in norms
    for jit in ("none", "step", "epoch")
]
COMMON: Axes = {
    "dataset": "synthetic",
    "examples": 5500,
    "epochs": 1,
    "global_batch_size": BATCH,
}

WORK_TEXT = """What a step of the network launches on one GPU, counted and not timed. A call of
cuBLAS or cuDNN launches at least one kernel more; in a CUDA graph it is one of the graph's.
XLA's choices among kernels are those of a GPU on which all take the same time."""
WORK_HEAD = ("network", "norm", "jit", "kernels", "of them in graphs", "graphs", "library calls")
COPY_TEXT = "Copies while the mlp trains: of the GPU that has the most, and bytes between all."
COPY_HEAD = (
    "strategy",
    "jit",
    "host to device, a step",
    "device to host, a step",
    "between devices, bytes a step",
    "host to device, an epoch",
    "device to host, an epoch",
)


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        stack = build(Path(folder) / "stack")
        print(WORK_TEXT + "\n")
        print(_table(WORK_HEAD, work(stack, Path(folder), WORK)))
        print("\n" + COPY_TEXT + "\n")
        print(_table(COPY_HEAD, _copies(stack, Path(folder))))


def work(stack: Stack, folder: Path, cases: Sequence[Case]) -> Iterable[Sequence[str]]:
    """Yield a row of the first table for each of ``cases``."""
    settings = [{**NETWORKS[network], **NORMS[norm], "jit": jit} for network, norm, jit in cases]
    for case, pair in zip(cases, _pairs(stack, folder, settings, gpus=1), strict=True):
        yield *case, *(["not run"] * 4 if pair is None else _work_of(pair))


def _work_of(pair: EpochPair) -> list[str]:
    (launches,), (in_graphs,) = pair.per_step("launches"), pair.per_step("graph_kernels")
    (graphs,) = pair.per_step("graph_launches")
    calls = sum(pair.per_step(name)[0] for name in ("blas_calls", "blas_lt_calls", "dnn_calls"))
    return [_number(n) for n in (launches + in_graphs, in_graphs, graphs, calls)]


def _copies(stack: Stack, folder: Path) -> Iterable[Sequence[str]]:
    for strategy, jits in JITS.items():
        replicas = REPLICAS[strategy]
        devices = {"strategy": strategy.split()[0], "replicas": replicas}
        settings = [{**MLP, **devices, "jit": jit} for jit in jits]
        for jit, pair in zip(jits, _pairs(stack, folder, settings, replicas), strict=True):
            yield strategy, jit, *(["not run"] * 5 if pair is None else _copies_of(pair))


def _copies_of(pair: EpochPair) -> list[str]:
    uploads, downloads = pair.per_step("h2d_copies"), pair.per_step("d2h_copies")
    short, long = pair.short, pair.long
    between = (_between(long) - _between(short)) / (long.steps - short.steps)
    per_epoch = [
        max(
            getattr(device, name) - count * long.steps
            for device, count in zip(long.epoch.devices, steps, strict=True)
        )
        for name, steps in (("h2d_copies", uploads), ("d2h_copies", downloads))
    ]
    return [_number(n) for n in (max(uploads), max(downloads), between, *per_epoch)]


def _between(measured: MeasuredEpoch) -> int:
    return sum(pair.bytes for pair in measured.epoch.between if pair.source != pair.target)


def _pairs(
    stack: Stack, folder: Path, settings: Iterable[Axes], gpus: int
) -> Iterable[EpochPair | None]:
    """Yield the two epochs of each program; None if TensorFlow does not run it."""
    variants = [
        Variant.model_validate(fill_defaults({**COMMON, **axes, "max_steps": steps}))
        for axes in settings
        for steps in STEPS
    ]
    epochs = measure(stack, variants, gpus, folder)
    for short, long in zip(epochs[::2], epochs[1::2], strict=True):
        if isinstance(short, MeasuredEpoch) and isinstance(long, MeasuredEpoch):
            yield EpochPair(short, long)
        else:
            yield None


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"


if __name__ == "__main__":
    main()
