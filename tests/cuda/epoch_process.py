"""Train an epoch of each variant and count its work, for ``tests.cuda.measured_epoch``.

python -m tests.cuda.epoch_process VARIANT...
"""

import dataclasses
import gc
import json
import os
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training import runtime
from bench.training.data.pipeline import make_feed
from bench.training.device_strategy import make_replicas
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.model.models import build_model
from bench.training.replicas import Replicas
from tests.cuda.counts import Counts, read_process, reset
from tests.support.training_setup import arrays_of

_SEED = 1


def main(variants: list[Variant]) -> None:
    """Print a line of JSON for each variant."""
    runtime.configure(variants[0], threads=2)
    with make_replicas(variants[0]).scope():
        strategy = tf.distribute.get_strategy()
    for variant in variants:
        replicas = Replicas(strategy, variant)
        try:
            answer = _measure(variant, replicas)
        except Exception as error:
            answer = {"reason": f"{type(error).__name__}: {error}"[:2000]}
        print(json.dumps(answer), flush=True)
        gc.collect()  # free the program's device memory before the next one


def _measure(variant: Variant, replicas: Replicas) -> dict[str, Any]:
    arrays = _black(arrays_of(variant))
    tf.zeros(1)  # creates the devices' contexts, which must not be counted
    reset()
    feed = make_feed(variant, arrays, _SEED, replicas)
    feed_counts = _counts()
    with replicas.scope():
        model = build_model(variant, arrays.shape, arrays.classes, _SEED)
        update = GradientUpdate(variant, model, replicas)
        program = CompiledEpoch(variant, model, update, feed, replicas)
    reset()
    program.cold_start()
    cold_start_counts = _counts()
    devices = range(len(tf.config.list_logical_devices("GPU")))
    for i in devices:
        tf.config.experimental.reset_memory_stats(f"GPU:{i}")
    reset()
    result = program.run_epoch(0)
    return {
        "steps": result.steps,
        "data_bytes": arrays.train_images.nbytes,
        "feed": feed_counts,
        "cold_start": cold_start_counts,
        "epoch": _counts(),
        "peak_memory_bytes": [
            tf.config.experimental.get_memory_info(f"GPU:{i}")["peak"] for i in devices
        ],
    }


def _black(arrays: Arrays) -> Arrays:
    """Make all images black: no kernel overwrites the sums, and random bytes may be NaN."""
    return dataclasses.replace(arrays, train_images=np.zeros_like(arrays.train_images))


def _counts() -> dict[str, Any]:
    tf.test.experimental.sync_devices()
    counts: Counts = read_process()
    return dataclasses.asdict(counts)


if __name__ == "__main__":
    main([Variant.model_validate_json(text) for text in sys.argv[1:]])
    sys.stdout.flush()
    # Skip TensorFlow's shutdown, which is not tested here.
    os._exit(0)
