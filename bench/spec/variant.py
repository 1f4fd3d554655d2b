"""A variant: one full training configuration, checked.

Usage:
    variant = Variant.model_validate(fill_defaults({"norm": "bn_post"}))
    variant.id                     # "9f1c2ab07e", equal for equal configurations

Field names are the axis names of suites and the column names of result tables.
"""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.spec.fail_fast import FailFastTuple, one_unknown_key
from bench.spec.impossible import impossibilities
from bench.spec.inert import inert_keys
from bench.spec.jit import Jit

FASHION_MNIST_TRAIN_EXAMPLES = 55_000
"""The 60,000 training images less the first 5,000, which are kept for validation."""

FASHION_MNIST_SHAPE = (28, 28, 1)
"""Height, width and channels."""

Initializer = Literal[
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "standard_normal",
    "zeros",
    "ones",
]
Activation = Literal[
    "relu",
    "leaky_relu",
    "prelu",
    "elu",
    "selu",
    "gelu",
    "swish",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "softplus",
    "softsign",
    "exponential",
    "linear",
]
Norm = Literal["none", "bn_post", "bn_pre", "layer", "group"]
Clip = Literal["none", "value", "norm", "global_norm"]
OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw", "nadam"
]
Precision = Literal["float32", "float32_strict", "mixed_bfloat16", "mixed_float16", "float64"]

OwnWorkload = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""A function that anybody can write, by the module that it is in and its name."""

_Count = Annotated[int, Field(ge=1, le=10**12, strict=True)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
_Switch = Annotated[bool, Field(strict=True)]
_EpochCount = Annotated[int, Field(ge=-1, strict=True)]


class Variant(BaseModel):
    """One training configuration. ``defaults.fill_defaults`` gives it the values left unsaid.

    Fields with a default here were added later: records without them are read with it. It must
    be what the code did before; where it cannot be, the schema's version changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: Literal["mlp", "convnet", "resnet50"] | OwnWorkload
    """The kind of network; resnet50 has norms where its paper has them. A function of one's own
    is "package.module:function", or the name that its package has registered."""
    hidden: FailFastTuple[_Count]
    """Width of each hidden dense layer, input side first; may be empty. resnet50 has none."""
    depth: Annotated[int, Field(ge=1, le=10_000, strict=True)] = 1
    """How often the layers of ``hidden`` are repeated: [100] and 20 are twenty layers."""
    filters: FailFastTuple[_Count]
    """Channels of each convolution of ``convnet``; without effect on other workloads."""
    dataset: Literal["fashion_mnist", "synthetic"]
    """Where examples come from; synthetic ones can be learnt, and mean nothing."""
    shape: Annotated[FailFastTuple[_Count], Field(min_length=3, max_length=3)]
    """Height, width and channels of a synthetic example."""
    classes: Annotated[int, Field(ge=2, strict=True)]
    """Number of classes of the synthetic data set."""
    examples: _Count
    """Training examples; those past the real ones are augmented copies."""
    augment: Literal["auto", "always", "never"]
    """auto: augment copies where there are any; always: the same computation at every
    size, so that cost does not change with it; never: copies are plain repeats."""
    inputs: Literal["unit", "standardized"] = "unit"
    """Pixels from 0 to 1, or each less its mean over its deviation in the training images."""
    pipeline: Literal["device", "tfdata", "tfrecord"]
    """Data held on the device, streamed from the host's memory by tf.data, or from files that
    may be larger than memory, written once into the cache."""
    initializer: Initializer
    """Of the weights of each layer but normalisation, as Keras names them."""
    activation: Activation
    """After each hidden layer, as Keras names them."""
    norm: Norm
    """Normalisation: batch norm after (bn_post) or before (bn_pre) the activation, layer, group.
    Layer norm is over all of an example; group norm has the most groups up to 32 that divide the
    channels and leave each 8 values."""
    batch_norm: Literal["keras", "fused"] = "keras"
    """How batch norm is computed: by the operations of Keras's layer, or by TensorFlow's fused
    one, a single kernel where XLA does not compile it. fused has the statistics of each replica's
    own part, and no float64."""
    synchronized: _Switch
    """Batch norm's statistics are taken over all replicas, not over each one's own part."""
    clip: Clip
    """Of gradients: each value, each tensor's norm, or the norm over all tensors."""
    clip_threshold: _Positive
    """What clipping lets through at most."""
    non_finite: Literal["apply", "skip"] = "apply"
    """Of a step whose gradient is not finite, on any replica: apply it, and diverge together, or
    skip it on all. To look costs a part of each step; mixed_float16 looks and skips in any case."""
    optimizer: OptimizerName
    """As Keras names them; momentum and nesterov are kinds of SGD."""
    learning_rate: _Positive
    """Constant over the training."""
    precision: Precision
    """Of computation; float32 allows TF32 on GPUs, float32_strict does not."""
    jit: Jit
    """What XLA compiles: nothing, each step, or all steps of a window in one program."""
    deterministic: _Switch
    """Ask TensorFlow for kernels that give the same bits each time."""
    strategy: Literal["one_device", "mirrored", "multi_worker"]
    """No strategy, several devices of one process, or several processes."""
    workers: _Count
    """Processes, each with its own devices."""
    replicas: _Count
    """Devices per worker."""
    threads: _Count | None = None
    """CPU cores that each worker may use: the size of TensorFlow's pools of threads and, on a CPU,
    the cores that the process is bound to. None uses the worker's whole share of its node."""
    placement: Literal["pack", "spread"] = "pack"
    """Workers on as few nodes as hold them, or each on a node of its own."""
    communication: Literal["full", "none"] = "full"
    """none: nothing is exchanged between replicas, which drift apart. Its time shows what
    communication costs; what it learns means nothing."""
    all_reduce: Literal["auto", "ring", "nccl", "hierarchical_copy", "reduction_to_one_device"] = (
        "auto"
    )
    """How gradients are summed over replicas. auto: NCCL on GPUs, a ring on CPUs. Of
    multi_worker ring and nccl, of mirrored all but ring."""
    global_batch_size: _Count
    """Examples of one step over all replicas."""
    max_steps: _Count | None = None
    """Most steps of an epoch. Where it has more, they are left out, and the time of a whole
    epoch is extrapolated; None leaves out none."""
    epochs: _Count
    """Passes over the examples."""
    warmup_epochs: Annotated[int, Field(ge=0, strict=True)]
    """First epochs that are recorded and left out of every figure."""
    target_accuracy: Annotated[float, Field(gt=0, le=1, strict=True)] | None
    """Validation accuracy whose time is told as time_to_accuracy_s."""
    health_epochs: FailFastTuple[_EpochCount] = ()
    """After how many epochs each layer's gradients and activations are looked at, untimed: 0 is
    before the first, -1 after the last. Without effect on the training."""

    @model_validator(mode="before")
    @classmethod
    def _unknown_key(cls, value: Any) -> Any:
        return one_unknown_key(cls, value)

    @model_validator(mode="after")
    def _possible(self) -> "Variant":
        for problem in impossibilities(self):
            raise ValueError(problem)
        return self

    @property
    def total_replicas(self) -> int:
        """Devices of all workers together."""
        return self.workers * self.replicas

    @property
    def per_replica_batch_size(self) -> int:
        """Examples that each device sees in a step."""
        return self.global_batch_size // self.total_replicas

    @property
    def has_own_workload(self) -> bool:
        """Whether its network is a function of somebody's own, by module and name."""
        return ":" in self.workload

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Height, width and channels of an example."""
        return self.shape if self.dataset == "synthetic" else FASHION_MNIST_SHAPE

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each hidden dense layer, repeated ones included."""
        return self.hidden * self.depth

    @property
    def whole_epoch_steps(self) -> int:
        """Whole batches in the examples; those that fill no batch are left out."""
        return self.examples // self.global_batch_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch as it is run: ``max_steps`` where that is less than a whole one."""
        return min(self.whole_epoch_steps, self.max_steps or self.whole_epoch_steps)

    @property
    def is_capped(self) -> bool:
        """Whether an epoch leaves out steps for ``max_steps``."""
        return self.steps_per_epoch < self.whole_epoch_steps

    @property
    def may_be_refused(self) -> bool:
        """Whether it asks TensorFlow for anything but plain float32 steps on one device.

        Where it does not, a program that TensorFlow will not run is a fault, not an answer.
        """
        plain = self.jit == "none" and self.precision in ("float32", "float32_strict")
        return not plain or self.total_replicas > 1 or self.deterministic

    def is_examined_after(self, epochs: int) -> bool:
        """Whether ``health_epochs`` asks for a look once ``epochs`` of them are trained."""
        return epochs in self.health_epochs or (epochs == self.epochs and -1 in self.health_epochs)

    def canonical(self) -> dict[str, Any]:
        """The settings that act, each in one form: equal for configurations that train alike.

        Keys that cannot act (``clip_threshold`` without clipping, say) are left out.
        """
        inert = inert_keys(self)
        canonical = {k: v for k, v in self.model_dump().items() if k not in inert}
        if "hidden" in canonical and "depth" in inert:
            canonical["hidden"] = self.widths
        return canonical

    @property
    def id(self) -> str:
        """Ten hex digits, of ``canonical``."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]


ADDED: dict[str, Any] = {
    name: field.default for name, field in Variant.model_fields.items() if not field.is_required()
}
"""Axes that records of this schema may lack, and what held before there was a choice."""

AXES: tuple[str, ...] = (*Variant.model_fields, "per_replica_batch_size")
"""Every key that a suite may set on a variant."""

BATCH_SIZES = frozenset({"global_batch_size", "per_replica_batch_size"})
"""Two ways of giving the same thing."""
