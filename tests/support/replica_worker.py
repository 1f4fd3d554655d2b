"""Run the jobs in a folder as one worker, for ``tests.support.replica_jobs``.

python -m tests.support.replica_worker FOLDER INDEX
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.distribute.collective_all_reduce_strategy import (
    CollectiveAllReduceExtended,
)

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training import runtime
from bench.training.data.pipeline import Feed, make_feed
from bench.training.data.shuffle import Shuffle
from bench.training.data.windows import split_windows
from bench.training.device_strategy import make_replicas
from bench.training.failures import classify_exception
from bench.training.layer_health.layer_health import LayerHealth
from bench.training.loop.all_reduce_bytes import reduced_bytes_per_step
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.model.models import build_model, norm_settings
from bench.training.replicas import Replicas
from tests.support.replica_jobs import LATE_S, TRAIN
from tests.support.training_setup import arrays_of, snapshot, variant_of

_SEED = 3
_NONE = np.zeros((1, 1, 1))
Outcome = tuple[dict[str, Any], dict[str, Any]]
"""Arrays and facts of a job."""


def main(folder: Path, index: int) -> None:
    """Run all jobs in turn, and write the result of each."""
    request = json.loads((folder / "jobs.json").read_text())
    arrangement = request["arrangement"]
    first = variant_of(**{**TRAIN, **arrangement})
    if first.strategy == "multi_worker" and first.replicas > 1:
        _split_worker_cpu(first.replicas)
    runtime.configure(first, threads=1)
    with make_replicas(first).scope():
        strategy = tf.distribute.get_strategy()
    for job in request["jobs"]:
        variant = variant_of(**{**TRAIN, **job["settings"], **arrangement})
        replicas = Replicas(strategy, variant)
        arrays, facts = _KINDS[job["kind"]](job, variant, replicas)
        np.savez(folder / f"{job['name']}-{index}.npz", **arrays)
        facts = {"variables": 0, "trainable": 0, **replicas.settings(), **facts}
        (folder / f"{job['name']}-{index}.json").write_text(json.dumps(facts))


def _split_worker_cpu(count: int) -> None:
    """Make logical CPUs for a worker: TensorFlow assigns it several GPUs but only one CPU."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(cpu, logical)

    def local_devices(_: Any, __: Any, worker_device: str) -> tuple[tuple[str, ...], str]:
        return tuple(f"{worker_device}/device:CPU:{i}" for i in range(count)), "CPU"

    # Private: no cluster resolver can declare several CPUs.
    CollectiveAllReduceExtended._initialize_local_devices = local_devices


def _refuse(job: dict[str, Any], variant: Variant, replicas: Replicas) -> Outcome:
    return {"examples": _NONE}, _failed_start(job, variant, replicas, make_feed)


def _fault(job: dict[str, Any], variant: Variant, replicas: Replicas) -> Outcome:
    def faulty(*arguments: Any) -> Feed:
        feed = make_feed(*arguments)

        def batch(*_: Any) -> Any:
            raise RuntimeError("this feed is at fault")

        feed.batch = batch  # type: ignore[method-assign]
        return feed

    return {"examples": _NONE}, _failed_start(job, variant, replicas, faulty)


def _failed_start(
    job: dict[str, Any], variant: Variant, replicas: Replicas, feed_of: Any
) -> dict[str, Any]:
    """Return the status and the reason of a trial whose cold start fails."""
    program, _ = _program(job, variant, replicas, feed_of)
    try:
        program.cold_start()
    except Exception as error:
        status, reason = classify_exception(error)
        return {"status": status, "reason": reason}
    raise AssertionError(f"TensorFlow ran {job['name']}")


def _late(job: dict[str, Any], variant: Variant, replicas: Replicas) -> Outcome:
    """Return the seconds of an epoch, and those of the call that runs it."""
    program, _ = _program(job, variant, replicas)
    program.cold_start()
    program.run_epoch(0)
    if replicas.worker == variant.workers - 1:
        time.sleep(LATE_S)
    started = time.perf_counter()
    epoch_s = program.run_epoch(1).epoch_s
    return {"examples": _NONE}, {"epoch_s": epoch_s, "call_s": time.perf_counter() - started}


class _Ticks:
    """A clock that advances by one second with each reading, equally on every worker."""

    def __init__(self) -> None:
        self._readings = 0

    def __call__(self) -> float:
        self._readings += 1
        return float(self._readings)


def _examine(job: dict[str, Any], variant: Variant, replicas: Replicas) -> Outcome:
    """Examine the layers after an epoch, and check whether any variable has changed."""
    del job
    arrays = arrays_of(variant)
    feed = make_feed(variant, arrays, _SEED, replicas)
    with replicas.scope():
        model = build_model(variant, arrays.shape, arrays.classes, _SEED)
        update = GradientUpdate(variant, model, replicas)
        program = CompiledEpoch(variant, model, update, feed, replicas)
    program.run_epoch(0)
    before = snapshot(program.step.variables)
    health = LayerHealth(variant, model, update, replicas, arrays).examine(after_epochs=1)
    after = snapshot(program.step.variables)
    changed = not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    return {"examples": _NONE}, {"health": health.model_dump(mode="json"), "changed": changed}


def _program(
    job: dict[str, Any], variant: Variant, replicas: Replicas, feed_of: Any = make_feed
) -> tuple[CompiledEpoch, Any]:
    arrays = arrays_of(variant)
    if job["one_bright"]:
        arrays = _one_bright(arrays, variant)
    feed = feed_of(variant, arrays, _SEED, replicas)
    with replicas.scope():
        model = build_model(variant, arrays.shape, arrays.classes, _SEED)
        update = GradientUpdate(variant, model, replicas)
        clock = _Ticks() if job["kind"] == "repeat" else time.perf_counter
        return CompiledEpoch(variant, model, update, feed, replicas, clock=clock), model


def _train(job: dict[str, Any], variant: Variant, replicas: Replicas) -> Outcome:
    program, model = _program(job, variant, replicas)
    with _ReducedBytes() as reduced:
        program.cold_start()
    if job["kind"] == "repeat":
        program.warm_up(
            warmup_s=3.0, min_timing_s=1.5 * len(list(split_windows(variant.steps_per_epoch)))
        )
    result = program.run_epoch(0)
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    weights = {
        f"weights_{i}": np.stack([p.numpy() for p in replicas.local_values(v.value)])
        for i, v in enumerate(variables)
    }
    facts = {
        **norm_settings(model),
        **dataclasses.asdict(result),
        "compiled": program.step.compiled,
        "variables": len(variables),
        "trainable": len(model.trainable_variables),
        "reduced_bytes": reduced_bytes_per_step(variant, model),
        "bytes_seen_reduced": reduced.bytes,
    }
    return {**weights, "examples": _NONE}, facts


def _one_bright(arrays: Arrays, variant: Variant) -> Arrays:
    """Make only one image white: the last of the first step, which the last replica takes."""
    order = Shuffle(variant.examples, _SEED)
    first = order.window(order.epoch_order(0), 0, variant.global_batch_size)
    images = np.zeros_like(arrays.train_images)
    images[int(first[-1])] = 255
    return dataclasses.replace(arrays, train_images=images)


class _ReducedBytes:
    """Count the bytes of TensorFlow's all-reduce calls while a step is traced, on replica 0."""

    def __enter__(self) -> "_ReducedBytes":
        self.bytes, self._original = 0, tf.distribute.ReplicaContext.all_reduce
        counter = self

        def all_reduce(context: Any, how: Any, value: Any, options: Any = None) -> Any:
            if int(tf.get_static_value(context.replica_id_in_sync_group) or 0) == 0:
                sizes = [t.dtype.size * t.shape.num_elements() for t in tf.nest.flatten(value)]
                counter.bytes += sum(sizes)
            return counter._original(context, how, value, options)

        tf.distribute.ReplicaContext.all_reduce = all_reduce
        return self

    def __exit__(self, *_: object) -> None:
        tf.distribute.ReplicaContext.all_reduce = self._original


def _look(job: dict[str, Any], variant: Variant, replicas: Replicas) -> Outcome:
    """List the examples of each replica at each step of two epochs, by numbered images."""
    del job
    arrays = _with_numbers(arrays_of(variant))
    feed = make_feed(variant, arrays, _SEED, replicas)

    def step_examples(step: Any, *inputs: Any) -> Any:
        raw = feed.fetch(step, *inputs)
        return replicas.run(lambda *part: _numbers(feed.batch(*part)[0]), raw)

    compiled = tf.function(step_examples, autograph=False)
    epochs = [
        [
            np.stack([part.numpy() for part in replicas.local_values(examples)])
            for steps, inputs in feed.windows(epoch)
            for examples in (compiled(tf.constant(i), *inputs) for i in range(steps))
        ]
        for epoch in range(2)
    ]
    return {"examples": np.array(epochs)}, {}


def _with_numbers(arrays: Arrays) -> Arrays:
    """Encode each image's number in its first two pixels."""
    images = np.zeros_like(arrays.train_images)
    number = np.arange(len(images))
    images[:, 0, 0, 0], images[:, 0, 1, 0] = number % 256, number // 256
    return dataclasses.replace(arrays, train_images=images)


def _numbers(images: Any) -> Any:
    low, high = (tf.cast(tf.round(images[:, 0, i, 0] * 255.0), tf.int64) for i in (0, 1))
    return low + 256 * high


_KINDS = {
    "train": _train,
    "look": _look,
    "examine": _examine,
    "repeat": _train,
    "refuse": _refuse,
    "fault": _fault,
    "late": _late,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    # One of several workers may hang while TensorFlow shuts down.
    os._exit(0)
