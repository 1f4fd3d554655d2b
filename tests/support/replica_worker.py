"""The process of ``tests.support.replica_jobs``: does the jobs of a folder as one worker of them.

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
from bench.training.failures import classify_exception
from bench.training.layer_health.layer_health import LayerHealth
from bench.training.loop.all_reduce_bytes import reduced_bytes_per_step
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.loop.windows import split_windows
from bench.training.model.models import build_model, norm_settings
from bench.training.strategy import Replicas, make_replicas
from tests.support.replica_jobs import LATE_S, TRAIN
from tests.support.training_setup import arrays_of, snapshot, variant_of

_SEED = 3
_NONE = np.zeros((1, 1, 1))
Arrays_ = dict[str, Any]


def main(folder: Path, index: int) -> None:
    """Do all jobs, one after another, and write down what each ended with."""
    asked = json.loads((folder / "jobs.json").read_text())
    arrangement = asked["arrangement"]
    first = variant_of(**{**TRAIN, **arrangement})
    if first.strategy == "multi_worker" and first.replicas > 1:
        _give_workers_devices(first.replicas)
    runtime.configure(first, threads=1)
    with make_replicas(first).scope():
        strategy = tf.distribute.get_strategy()
    for job in asked["jobs"]:
        variant = variant_of(**{**TRAIN, **job["settings"], **arrangement})
        replicas = Replicas(strategy, variant)
        arrays, facts = _DOES[job["does"]](job, variant, replicas)
        np.savez(folder / f"{job['name']}-{index}.npz", **arrays)
        facts = {"variables": 0, "trainable": 0, **replicas.settings(), **facts}
        (folder / f"{job['name']}-{index}.json").write_text(json.dumps(facts))


def _give_workers_devices(count: int) -> None:
    """Logical CPUs for a worker, where TensorFlow gives it several GPUs but one CPU alone."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    split = [tf.config.LogicalDeviceConfiguration() for _ in range(count)]
    tf.config.set_logical_device_configuration(cpu, split)

    def local_devices(_: Any, __: Any, worker_device: str) -> tuple[tuple[str, ...], str]:
        return tuple(f"{worker_device}/device:CPU:{i}" for i in range(count)), "CPU"

    # Private: no cluster resolver can say it.
    CollectiveAllReduceExtended._initialize_local_devices = local_devices


def _refuse(job: dict[str, Any], variant: Variant, replicas: Replicas) -> tuple[Arrays_, Arrays_]:
    return {"taken": _NONE}, _ending(job, variant, replicas, make_feed)


def _fault(job: dict[str, Any], variant: Variant, replicas: Replicas) -> tuple[Arrays_, Arrays_]:
    def faulty(*made_of: Any) -> Feed:
        feed = make_feed(*made_of)

        def batch(*_: Any) -> Any:
            raise RuntimeError("this feed is at fault")

        feed.batch = batch  # type: ignore[method-assign]
        return feed

    return {"taken": _NONE}, _ending(job, variant, replicas, faulty)


def _ending(job: dict[str, Any], variant: Variant, replicas: Replicas, feed_of: Any) -> Arrays_:
    """The status and the reason of a trial whose cold start fails."""
    program, _ = _program(job, variant, replicas, feed_of)
    try:
        program.cold_start()
    except Exception as error:
        status, reason = classify_exception(error)
        return {"status": status, "reason": reason}
    raise AssertionError(f"TensorFlow ran {job['name']}")


def _late(job: dict[str, Any], variant: Variant, replicas: Replicas) -> tuple[Arrays_, Arrays_]:
    """The seconds of an epoch, and those of the call for it."""
    program, _ = _program(job, variant, replicas)
    program.cold_start()
    program.run_epoch(0)
    if replicas.worker == variant.workers - 1:
        time.sleep(LATE_S)
    started = time.perf_counter()
    epoch_s = program.run_epoch(1).epoch_s
    return {"taken": _NONE}, {"epoch_s": epoch_s, "call_s": time.perf_counter() - started}


class _Ticks:
    """A clock that moves on by a second at each look, on every worker alike."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self) -> float:
        self._looks += 1
        return float(self._looks)


def _examine(job: dict[str, Any], variant: Variant, replicas: Replicas) -> tuple[Arrays_, Arrays_]:
    """What a look at the layers after an epoch finds, and whether any variable has moved."""
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
    moved = not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    return {"taken": _NONE}, {"health": health.model_dump(mode="json"), "moved": moved}


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
        clock = _Ticks() if job["does"] == "repeat" else time.perf_counter
        return CompiledEpoch(variant, model, update, feed, replicas, clock=clock), model


def _train(job: dict[str, Any], variant: Variant, replicas: Replicas) -> tuple[Arrays_, Arrays_]:
    program, model = _program(job, variant, replicas)
    with _Counted() as counted:
        program.cold_start()
    if job["does"] == "repeat":
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
        "bytes_seen_reduced": counted.bytes,
    }
    return {**weights, "taken": _NONE}, facts


def _one_bright(arrays: Arrays, variant: Variant) -> Arrays:
    """The last example of the first step, which the last replica takes."""
    order = Shuffle(variant.examples, _SEED)
    first = order.window(order.epoch_order(0), 0, variant.global_batch_size)
    images = np.zeros_like(arrays.train_images)
    images[int(first[-1])] = 255
    return dataclasses.replace(arrays, train_images=images)


class _Counted:
    """Counts what TensorFlow is asked to reduce while a step is traced, on replica 0."""

    def __enter__(self) -> "_Counted":
        self.bytes, self._own = 0, tf.distribute.ReplicaContext.all_reduce
        counted = self

        def all_reduce(context: Any, how: Any, value: Any, options: Any = None) -> Any:
            if int(tf.get_static_value(context.replica_id_in_sync_group) or 0) == 0:
                sizes = [t.dtype.size * t.shape.num_elements() for t in tf.nest.flatten(value)]
                counted.bytes += sum(sizes)
            return counted._own(context, how, value, options)

        tf.distribute.ReplicaContext.all_reduce = all_reduce
        return self

    def __exit__(self, *_: object) -> None:
        tf.distribute.ReplicaContext.all_reduce = self._own


def _look(job: dict[str, Any], variant: Variant, replicas: Replicas) -> tuple[Arrays_, Arrays_]:
    """Which example each replica is given at each step of two epochs: images that say so."""
    del job
    arrays = _numbered(arrays_of(variant))
    feed = make_feed(variant, arrays, _SEED, replicas)

    def of_step(step: Any, *inputs: Any) -> Any:
        taken = feed.fetch(step, *inputs)
        return replicas.run(lambda *t: _numbers(feed.batch(*t)[0]), taken)

    compiled = tf.function(of_step, autograph=False)
    epochs = [
        [
            np.stack([part.numpy() for part in replicas.local_values(given)])
            for steps, inputs in feed.windows(epoch)
            for given in (compiled(tf.constant(i), *inputs) for i in range(steps))
        ]
        for epoch in range(2)
    ]
    return {"taken": np.array(epochs)}, {}


def _numbered(arrays: Arrays) -> Arrays:
    """Images whose first two pixels say which they are."""
    images = np.zeros_like(arrays.train_images)
    number = np.arange(len(images))
    images[:, 0, 0, 0], images[:, 0, 1, 0] = number % 256, number // 256
    return dataclasses.replace(arrays, train_images=images)


def _numbers(images: Any) -> Any:
    low, high = (tf.cast(tf.round(images[:, 0, i, 0] * 255.0), tf.int64) for i in (0, 1))
    return low + 256 * high


_DOES = {
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
    # A worker of several may hang where TensorFlow is taken apart.
    os._exit(0)
