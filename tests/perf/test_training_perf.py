"""Time an epoch of ours, of Keras ``fit`` and of JAX, in turn in one process.

    python -m pytest tests/perf/test_training_perf.py -m perf

It prints figures and judges none. The target is at least five times as fast as ``fit`` at batch 32,
and as fast as JAX. Every arm trains the same network on all of Fashion-MNIST.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.datasets.arrays import Arrays
from bench.datasets.load import load_arrays
from bench.measure.host import usable_cores
from bench.spec.variant import Variant
from bench.training import runtime
from bench.training.data.pipeline import make_feed
from bench.training.device_strategy import make_replicas
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.model.models import build_model
from tests.support.training_setup import variant_of

pytestmark = pytest.mark.perf

ROUNDS = 5
Arms = dict[str, Callable[[int], object]]


@pytest.mark.parametrize("batch_size", [32, 512])
@pytest.mark.parametrize("norm", ["none", "bn_post"])
def test_an_epoch_in_three_frameworks(
    norm: str,
    batch_size: int,
    fashion_mnist_dir: Path,
    benchmark: BenchmarkFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variant = variant_of(norm=norm, global_batch_size=batch_size)
    runtime.configure(variant, usable_cores())
    arrays = load_arrays(variant, fashion_mnist_dir)
    arms: Arms = {"ours": _ours(variant, arrays), "fit": _fit(variant, arrays)}
    if importlib.util.find_spec("jax"):
        arms["jax"] = _jax(variant, arrays)
    times = _interleaved(arms, benchmark)
    with capsys.disabled():
        print(f"\nnorm {norm}, batch {batch_size}: " + _figures(times))
        if "jax" not in arms:
            print("  without JAX, which is not installed: pip install 'trainbench[perf]'")


def _interleaved(arms: Arms, benchmark: BenchmarkFixture) -> dict[str, list[float]]:
    """Return the seconds of each arm's epochs; a round is an epoch of each, in rotating order."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    for run_epoch in arms.values():
        run_epoch(0)

    def one_round() -> None:
        number = len(times["ours"])
        names = list(arms)[number % len(arms) :] + list(arms)[: number % len(arms)]
        for name in names:
            started = time.perf_counter()
            arms[name](number + 1)
            times[name].append(time.perf_counter() - started)

    benchmark.pedantic(one_round, rounds=ROUNDS)  # type: ignore[no-untyped-call]
    benchmark.extra_info["epoch_s"] = times
    return times


def _figures(times: dict[str, list[float]]) -> str:
    parts = []
    for name, seconds in times.items():
        parts.append(f"{name} {statistics.median(seconds):.3f} s")
        if name != "ours":
            pairs = zip(seconds, times["ours"], strict=True)
            ratios = [theirs / ours for theirs, ours in pairs]
            low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
            parts[-1] += f" ({middle:.2f} times ours, {low:.2f} to {high:.2f})"
    return ", ".join(parts)


def _ours(variant: Variant, arrays: Arrays) -> Callable[[int], object]:
    replicas = make_replicas(variant)
    feed = make_feed(variant, arrays, 1, replicas)
    model = build_model(variant, arrays.shape, arrays.classes, seed=1)
    program = CompiledEpoch(
        variant, model, GradientUpdate(variant, model, replicas), feed, replicas
    )
    program.cold_start()
    return program.run_epoch


def _fit(variant: Variant, arrays: Arrays) -> Callable[[int], object]:
    model = build_model(variant, arrays.shape, arrays.classes, seed=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(variant.learning_rate)
    model.compile(optimizer, loss, metrics=["accuracy"])
    images = arrays.train_images.astype(np.float32) / 255.0
    size = variant.global_batch_size
    return lambda _: model.fit(images, arrays.train_labels, batch_size=size, verbose=0)


def _jax(variant: Variant, arrays: Arrays) -> Callable[[int], object]:
    from tests.perf.jax_epoch import make_jax_epoch

    return make_jax_epoch(variant, arrays.train_images, arrays.train_labels)
