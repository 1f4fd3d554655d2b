"""Train on two workers as a careful author would with only TensorFlow, without Ray.

    TF_CONFIG=... python -m tests.perf.bare_workers '{"hidden": [300, 100], ...}'

The network, data, batch, shuffle and loop are the same as ours. Metrics are summed once an epoch,
and gradients by the optimizer, as Keras does. The output is the seconds of each epoch, as JSON.
"""

import functools
import json
import os
import sys
import time
from typing import Any

import keras
import tensorflow as tf

from bench.datasets.load import load_arrays
from tests.support.training_setup import variant_of


def main(settings: dict[str, Any], threads: int) -> list[float]:
    """Return the seconds of each epoch."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    ring = tf.distribute.experimental.CommunicationImplementation.RING
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(implementation=ring)
    )
    variant = variant_of(**settings)
    arrays = load_arrays(variant)
    images = tf.constant(arrays.train_images)
    labels = tf.constant(arrays.train_labels, tf.int64)
    batch, part = variant.global_batch_size, variant.per_replica_batch_size
    steps = variant.examples // batch
    own_rows = slice(strategy.cluster_resolver.task_id * part, None)
    with strategy.scope():
        model = _model(variant.hidden, arrays.classes)
        optimizer = keras.optimizers.SGD(variant.learning_rate)
        optimizer.build(model.trainable_variables)

    def step(indices: Any) -> tuple[Any, Any]:
        rows = indices[own_rows][:part]
        x, y = tf.cast(tf.gather(images, rows), tf.float32) / 255.0, tf.gather(labels, rows)
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            loss = tf.reduce_sum(losses) / batch
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        correct = tf.equal(tf.argmax(logits, -1), y)
        return loss, tf.reduce_sum(tf.cast(correct, tf.float32))

    @functools.partial(tf.function, autograph=False)
    def epoch(order: Any) -> tuple[Any, Any]:
        def body(i: Any, loss: Any, correct: Any) -> tuple[Any, Any, Any]:
            step_loss, step_correct = strategy.run(step, (order[i],))
            return i + 1, loss + step_loss, correct + step_correct

        start = (tf.constant(0), tf.constant(0.0), tf.constant(0.0))
        _, *sums = tf.while_loop(
            lambda i, *_: i < steps, body, start, maximum_iterations=steps, parallel_iterations=1
        )
        return tuple(strategy.reduce("SUM", total, axis=None) for total in sums)

    times = []
    for number in range(variant.epochs + 1):
        started = time.perf_counter()
        order = tf.random.experimental.stateless_shuffle(tf.range(variant.examples), (1, number))
        loss, _ = epoch(tf.reshape(order[: steps * batch], (steps, batch)))
        float(loss)
        times.append(time.perf_counter() - started)
    return times[1:]  # the first includes compilation


def _model(hidden: tuple[int, ...], classes: int) -> keras.Model:
    dense = [keras.layers.Dense(n, "relu", kernel_initializer="he_normal") for n in hidden]
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), *dense]
    return keras.Sequential([*layers, keras.layers.Dense(classes)])


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    print(json.dumps(main(request["settings"], request["threads"])), flush=True)
    os._exit(0)
