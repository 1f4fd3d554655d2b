"""One device, several of one process, or several processes: one program for all of them.

Usage:
    replicas = make_replicas(variant)
    with replicas.scope():
        model = ...
    per_replica = replicas.run(function, args)       # in a compiled loop
    replicas.first(per_replica)                      # what all of them agree on

Every replica ends a step with the same reduced gradients, so what is computed from them
(clipping, skipped steps, metrics) is the same on each, and any one may be read.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf

from bench.spec.inert_settings import inert_settings
from bench.spec.variant import Variant
from bench.training.failures import UnsupportedProgram

_Tensor = Any


class Replicas:
    """The devices of a trial, as far as this process has them."""

    def __init__(self, strategy: tf.distribute.Strategy, variant: Variant) -> None:
        self._strategy = strategy
        self._exchanges = variant.communication == "full"
        self._workers = variant.workers
        self.count = int(strategy.num_replicas_in_sync)
        if self.count != variant.total_replicas:
            raise UnsupportedProgram(
                f"{type(strategy).__name__} made {self.count} replicas, "
                f"not the {variant.total_replicas} asked for"
            )

    @property
    def worker(self) -> int:
        """Which worker this process is among all, from 0."""
        resolver = self._strategy.cluster_resolver
        return int(resolver.task_id or 0) if resolver is not None else 0

    def settings(self) -> dict[str, Any]:
        """TensorFlow's name of the strategy and of what sums over replicas, in plain data."""
        return {
            "tensorflow_strategy": type(self._strategy).__name__,
            "reduction": self._reduction() if self.count > 1 and self._exchanges else None,
        }

    def _reduction(self) -> str:
        extended = self._strategy.extended
        # Private: said nowhere else.
        name = type(extended._cross_device_ops).__name__
        if name != "CollectiveAllReduce":
            return name
        return f"{name} {extended._communication_options.implementation.value}"

    def scope(self) -> AbstractContextManager[Any]:
        """Where variables must be made."""
        scope: AbstractContextManager[Any] = self._strategy.scope()
        return scope

    @property
    def devices(self) -> tuple[str, ...]:
        """TensorFlow's names of this process's devices, one a replica."""
        if self.count == 1:
            return (f"{device_kind()}:0",)
        return tuple(self._strategy.extended.worker_devices)

    def on_each_device(self, make: Callable[[int], Any]) -> Any:
        """``make(rank)`` for each replica of this process, called on that replica's device.

        ``make`` returns a tensor or a variable; ``run`` hands each replica its own.
        """
        if self.count == 1:
            with tf.device(self.devices[0]):
                return make(0)
        here = self.devices

        def of_replica(context: Any) -> Any:
            rank = context.replica_id_in_sync_group
            # TensorFlow calls this under no device: all would stand on the first one.
            with tf.device(here[rank % len(here)]):
                return make(rank)

        return self._strategy.experimental_distribute_values_from_function(of_replica)

    def iterators(self, dataset: tf.data.Dataset) -> Callable[[], Any]:
        """A function that starts ``dataset`` anew; what it returns is for ``next`` in a loop.

        Each element is one replica's part of a batch, and is brought to the replica's device
        while the step before trains.
        """
        if self.count == 1:
            return self._iterators_of_one(dataset)
        # An end would have every worker ask all others at each step whether they are at theirs.
        endless = dataset.apply(
            tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        )
        distributed = self._strategy.distribute_datasets_from_function(lambda _: endless)
        return lambda: iter(distributed)

    def _iterators_of_one(self, dataset: tf.data.Dataset) -> Callable[[], Any]:
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
        """The first replica's part of what ``run`` returned."""
        return tf.nest.map_structure(lambda part: self.parts(part)[0], value)

    def parts(self, value: Any) -> tuple[Any, ...]:
        """Each replica's part of a value or a variable, of the replicas of this process."""
        parts: tuple[Any, ...] = self._strategy.experimental_local_results(value)
        return parts

    def synchronize(self, variable: Any) -> None:
        """Wait until this process's devices have done all they were given.

        ``variable`` is one that the last work changes.
        """
        if self._strategy.cluster_resolver is None:
            tf.test.experimental.sync_devices()
        else:
            # The call above would reach for the other workers' devices too. A read waits for
            # what its device was given before.
            for part in self.parts(variable.value):
                part.numpy()

    def barrier(self) -> None:
        """Wait until every worker has come here; nothing where this process is the only one.

        Also where the variant leaves communication out: it is outside of every time.
        """
        if self._workers > 1:
            # TensorFlow has no other barrier: each worker waits for the others' numbers.
            self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.identity(1.0), axis=None).numpy()

    def mean_over_workers(self, value: float) -> float:
        """The mean of each worker's ``value``: the same on all, so that they decide alike."""
        if self._workers == 1:
            return value
        total, count = (
            float(self._strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(v), axis=None))
            for v in (value, 1.0)
        )
        return total / count

    def sum_over_all(self, tensors: Sequence[_Tensor]) -> list[_Tensor]:
        """Inside ``run``: each tensor summed over all replicas, in one exchange.

        Each as it is where the variant leaves communication out.
        """
        if self.count == 1 or not self._exchanges:
            return list(tensors)
        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))


def make_replicas(variant: Variant) -> Replicas:
    """The replicas that ``variant.strategy`` asks for; UnsupportedProgram where there are fewer.

    ``multi_worker`` finds its peers through TF_CONFIG.
    """
    return Replicas(_STRATEGIES[variant.strategy](variant), variant)


def device_kind() -> str:
    """GPU where TensorFlow sees one, else CPU."""
    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def _one_device(_: Variant) -> tf.distribute.Strategy:
    # The default strategy adds nothing to a program, not even names.
    return tf.distribute.get_strategy()


def _mirrored(variant: Variant) -> tf.distribute.Strategy:
    kind = device_kind()
    found = tf.config.list_logical_devices(kind)
    if len(found) < variant.replicas:
        raise UnsupportedProgram(
            f"{variant.replicas} replicas need as many {kind}s, here are {len(found)}"
        )
    devices = [f"{kind}:{i}" for i in range(variant.replicas)]
    return tf.distribute.MirroredStrategy(devices, _CROSS_DEVICE_OPS[_all_reduce(variant)]())


def _multi_worker(variant: Variant) -> tf.distribute.Strategy:
    natural = "nccl" if device_kind() == "GPU" else "ring"
    asked = _all_reduce(variant)
    if asked == "nccl" != natural:
        # TensorFlow takes the ring then, and does not say so.
        raise UnsupportedProgram("NCCL sums on GPUs alone, here are none")
    kind = tf.distribute.experimental.CommunicationImplementation(
        (natural if asked == "auto" else asked).upper()
    )
    options = tf.distribute.experimental.CommunicationOptions(implementation=kind)
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def _all_reduce(variant: Variant) -> str:
    return "auto" if "all_reduce" in inert_settings(variant) else variant.all_reduce


_CROSS_DEVICE_OPS: dict[str, Callable[[], tf.distribute.CrossDeviceOps | None]] = {
    "auto": lambda: None,
    "nccl": tf.distribute.NcclAllReduce,
    "hierarchical_copy": tf.distribute.HierarchicalCopyAllReduce,
    "reduction_to_one_device": tf.distribute.ReductionToOneDevice,
}

_STRATEGIES: dict[str, Callable[[Variant], tf.distribute.Strategy]] = {
    "one_device": _one_device,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
}
