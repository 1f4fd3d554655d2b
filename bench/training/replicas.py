"""Run one program on one device, on several devices of a process, or in several processes.

Usage:
    with replicas.scope():
        model = ...
    per_replica = replicas.run(function, args)       # in a compiled loop
    replicas.first(per_replica)                      # a value that is equal on all replicas

Every replica ends a step with the same summed gradients, so anything computed from them
(clipping, skipped steps, metrics) is equal on all replicas, and any replica may be read.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from bench.spec.variant import Variant
from bench.training.exceptions import UnsupportedProgram

_Tensor = Any


class Replicas:
    """The replicas of a trial. This process holds one or several of them."""

    def __init__(self, strategy: tf.distribute.Strategy, variant: Variant) -> None:
        self._strategy = strategy
        self._sums = variant.sums_over_replicas
        self._workers = variant.workers
        self.count = int(strategy.num_replicas_in_sync)
        if self.count != variant.total_replicas:
            raise UnsupportedProgram(
                f"{type(strategy).__name__} made {self.count} replicas, "
                f"but the variant needs {variant.total_replicas}"
            )

    @property
    def worker(self) -> int:
        """The index of this process among the workers, from 0."""
        resolver = self._strategy.cluster_resolver
        return int(resolver.task_id or 0) if resolver is not None else 0

    def settings(self) -> dict[str, Any]:
        """Return TensorFlow's names of the strategy and of its all-reduce, as plain data."""
        return {
            "tensorflow_strategy": type(self._strategy).__name__,
            "reduction": self._reduction() if self._sums else None,
        }

    def _reduction(self) -> str:
        extended = self._strategy.extended
        # These attributes are private; no public one has the name.
        name = type(extended._cross_device_ops).__name__
        if name != "CollectiveAllReduce":
            return name
        return f"{name} {extended._communication_options.implementation.value}"

    def scope(self) -> AbstractContextManager[Any]:
        """Return the scope in which variables must be created."""
        scope: AbstractContextManager[Any] = self._strategy.scope()
        return scope

    @property
    def devices(self) -> tuple[str, ...]:
        """TensorFlow's names of this process's devices, one a replica."""
        if self.count == 1:
            return (f"{device_kind()}:0",)
        return tuple(self._strategy.extended.worker_devices)

    def on_each_device(self, make: Callable[[int], Any]) -> Any:
        """Call ``make(rank)`` for each replica of this process, on that replica's device.

        ``make`` returns a tensor or a variable; ``run`` passes each replica its own.
        """
        if self.count == 1:
            with tf.device(self.devices[0]):
                return make(0)
        devices = self.devices

        def make_on_device(context: Any) -> Any:
            rank = context.replica_id_in_sync_group
            # TensorFlow sets no device here: every value would land on the first one.
            with tf.device(devices[rank % len(devices)]):
                return make(rank)

        return self._strategy.experimental_distribute_values_from_function(make_on_device)

    def iterators(self, dataset: tf.data.Dataset) -> Callable[[], Any]:
        """Return a function that starts ``dataset`` from its beginning, for ``next`` in a loop.

        Each element is one replica's part of a batch. It is copied to the replica's device while
        the previous step trains.
        """
        if self.count == 1:
            return self._single_iterator(dataset)
        # With a finite dataset, every worker would ask all others at each step whether they are
        # at the end.
        endless = dataset.apply(
            tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        )
        distributed = self._strategy.distribute_datasets_from_function(lambda _: endless)
        return lambda: iter(distributed)

    def _single_iterator(self, dataset: tf.data.Dataset) -> Callable[[], Any]:
        device = "CPU:0"
        if device_kind() == "GPU":
            device = self.devices[0]
            dataset = dataset.apply(tf.data.experimental.prefetch_to_device(device))

        def start() -> Any:
            with tf.device(device):
                return iter(dataset)

        return start

    def run(self, function: Callable[..., Any], args: Sequence[Any] = ()) -> Any:
        """Call ``function`` on each replica."""
        return self._strategy.run(function, args=tuple(args))

    def first(self, value: Any) -> Any:
        """Return the first replica's value of what ``run`` returned."""
        return tf.nest.map_structure(lambda leaf: self.local_values(leaf)[0], value)

    def local_values(self, value: Any) -> tuple[Any, ...]:
        """Return the value, or the variable, on each replica of this process."""
        values: tuple[Any, ...] = self._strategy.experimental_local_results(value)
        return values

    def synchronize(self, variable: Any) -> None:
        """Wait until this process's devices have finished their work.

        ``variable`` is one that the last work changes.
        """
        if self._strategy.cluster_resolver is None:
            tf.test.experimental.sync_devices()
        else:
            # The call above would also reach for the other workers' devices. A read waits for all
            # earlier work on its device.
            for value in self.local_values(variable.value):
                value.numpy()

    def barrier(self) -> None:
        """Wait until every worker has called this; return at once if there is only one.

        It lies outside every timed part, so it also applies if communication is "none".
        """
        if self._workers > 1:
            # TensorFlow has no other barrier: each worker waits for the others' numbers.
            self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.identity(1.0), axis=None).numpy()

    def mean_over_workers(self, value: float) -> float:
        """Return the mean of the workers' ``value``s: equal on all, so that they decide alike."""
        if self._workers == 1:
            return value
        total, count = (
            float(self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(v), axis=None))
            for v in (value, 1.0)
        )
        return total / count

    def sum_over_all(self, tensors: Sequence[_Tensor]) -> list[_Tensor]:
        """Inside ``run``: sum each tensor over all replicas, in one all-reduce.

        If communication is "none", the tensors are returned unchanged.
        """
        if not self._sums:
            return list(tensors)
        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))


def device_kind() -> str:
    """Return "GPU" if TensorFlow sees one, else "CPU"."""
    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
