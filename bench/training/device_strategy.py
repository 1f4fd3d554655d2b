"""Make the replicas of a trial, with TensorFlow's strategy for them.

Usage:
    replicas = make_replicas(variant)
"""

from collections.abc import Callable

import tensorflow as tf

from bench.spec.variant import Variant
from bench.spec.variant_rules import inactive_settings
from bench.training.exceptions import UnsupportedProgram
from bench.training.replicas import Replicas, device_kind


def make_replicas(variant: Variant) -> Replicas:
    """Return the replicas of ``variant.strategy``; UnsupportedProgram if devices are missing.

    ``multi_worker`` finds its peers through TF_CONFIG.
    """
    return Replicas(_STRATEGIES[variant.strategy](variant), variant)


def _one_device(_: Variant) -> tf.distribute.Strategy:
    # The default strategy adds nothing to a program, not even names.
    return tf.distribute.get_strategy()


def _mirrored(variant: Variant) -> tf.distribute.Strategy:
    kind = device_kind()
    available = len(tf.config.list_logical_devices(kind))
    if available < variant.replicas:
        raise UnsupportedProgram(
            f"{variant.replicas} replicas need as many {kind}s, but there are {available}"
        )
    devices = [f"{kind}:{i}" for i in range(variant.replicas)]
    return tf.distribute.MirroredStrategy(devices, _CROSS_DEVICE_OPS[_all_reduce(variant)]())


def _multi_worker(variant: Variant) -> tf.distribute.Strategy:
    default = "nccl" if device_kind() == "GPU" else "ring"
    requested = _all_reduce(variant)
    if requested == "nccl" != default:
        # TensorFlow would use the ring instead, without a warning.
        raise UnsupportedProgram("NCCL sums only on GPUs, and there are none")
    kind = tf.distribute.experimental.CommunicationImplementation(
        (default if requested == "auto" else requested).upper()
    )
    options = tf.distribute.experimental.CommunicationOptions(implementation=kind)
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def _all_reduce(variant: Variant) -> str:
    return "auto" if "all_reduce" in inactive_settings(variant) else variant.all_reduce


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
