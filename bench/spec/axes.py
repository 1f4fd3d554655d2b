"""All axes are declared here, as fields; ``bench.spec.axis_metadata`` defines their metadata.

Usage:
    AXES["clip_threshold"].implies      # what a suite may set, with its metadata
    VariantAxes.model_fields["clip"]

Field names are the axis names of suites and the column names of result tables.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.spec.axis_metadata import (
    BATCH,
    DEVICES,
    NETWORK,
    STEPS,
    THREADS,
    Axis,
    always_skips,
    axis_of,
    default_of,
    first_of,
    network_axis,
    no_batch_norm,
    no_clipping,
    no_exchange,
    not_capped,
    one_replica,
    one_worker,
    only_synthetic,
    repeated_widths,
    unused_by,
)
from bench.spec.axis_values import (
    Activation,
    Clip,
    CustomWorkload,
    Initializer,
    Norm,
    OptimizerName,
    Precision,
)
from bench.spec.default_jit import Jit
from bench.spec.environments import DEFAULT_ENVIRONMENT, EnvironmentName
from bench.spec.fail_fast_types import FailFastTuple

_Count = Annotated[int, Field(ge=1, le=10**12, strict=True)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
_Switch = Annotated[bool, Field(strict=True)]
_EpochCount = Annotated[int, Field(ge=-1, strict=True)]


class VariantAxes(BaseModel):
    """The settings of a variant, each checked by itself.

    A field with a default here was added later, and a record without it is read with that default.
    The default must therefore be what the code did before; if it cannot be, the version of the
    record schema changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: Annotated[
        Literal["mlp", "convnet", "resnet50"] | CustomWorkload,
        Axis(implies=(*NETWORK, "workload_source")),
    ]
    """The kind of network; resnet50 has norms where its paper has them. A custom one is
    "package.module:function", or the name that its package has registered."""
    hidden: Annotated[
        FailFastTuple[_Count],
        network_axis(inactive=unused_by("resnet50"), values="list of numbers"),
    ]
    """Width of each hidden dense layer, input side first; may be empty. resnet50 has none."""
    depth: Annotated[
        int, Field(ge=1, le=10_000, strict=True), network_axis(inactive=repeated_widths)
    ] = 1
    """How often the layers of ``hidden`` are repeated: [100] and 20 are twenty layers."""
    filters: Annotated[
        FailFastTuple[_Count],
        network_axis(inactive=unused_by("mlp", "resnet50"), values="list of numbers"),
    ]
    """Channels of each convolution of ``convnet``; no effect on mlp and resnet50."""
    dataset: Annotated[Literal["fashion_mnist", "synthetic"], Axis(implies=NETWORK)]
    """Where examples come from. Synthetic ones can be learned, but their accuracy means nothing."""
    shape: Annotated[
        FailFastTuple[_Count],
        Field(min_length=3, max_length=3),
        Axis(inactive=only_synthetic, implies=NETWORK, values="three numbers"),
    ]
    """Height, width and channels of a synthetic example."""
    classes: Annotated[
        int, Field(ge=2, strict=True), Axis(inactive=only_synthetic, values="2 or more")
    ]
    """Number of classes of the synthetic data set."""
    examples: Annotated[_Count, Axis(implies=("order", *STEPS), keeps_kernels=True)]
    """Training examples; those beyond the real ones are augmented copies."""
    augment: Annotated[Literal["auto", "always", "never"], Axis(implies=("augmented",))]
    """auto: augment copies if there are any; always: the same computation at every size, so that
    cost does not change with it; never: copies are plain repeats."""
    inputs: Annotated[
        Literal["unit", "standardized"],
        Axis(inactive=default_of("inputs", "unit")),
    ] = "unit"
    """unit: pixels from 0 to 1. standardized: each pixel minus its mean over the training images,
    divided by its standard deviation."""
    pipeline: Annotated[Literal["device", "tfdata", "tfrecord"], Axis(implies=("order",))]
    """device: data held on the device; tfdata: streamed by tf.data from the host's memory;
    tfrecord: streamed from files, written once into the cache, that may be larger than memory."""
    initializer: Annotated[Initializer, Axis(builds_network=True)]
    """Initializer of the weights of each layer except normalization, as Keras names it."""
    activation: Annotated[Activation, Axis(builds_network=True)]
    """Activation after each hidden layer, as Keras names it."""
    norm: Annotated[Norm, Axis(implies=("norm_*", "batch_norm"), builds_network=True)]
    """Normalization: batch norm after (bn_post) or before (bn_pre) the activation, layer, group.
    Layer norm is over all of an example; group norm has the most groups up to 32 that divide the
    channels and leave at least 8 values in each."""
    batch_norm: Annotated[
        Literal["keras", "fused"],
        Axis(
            inactive=first_of(no_batch_norm, default_of("batch_norm", "keras")),
            implies=("batch_norm",),
            builds_network=True,
        ),
    ] = "keras"
    """How batch norm is computed: by the operations of Keras's layer, or by TensorFlow's fused
    operation, a single kernel where XLA does not compile it. fused takes the statistics of each
    replica's own part, and does not support float64."""
    synchronized: Annotated[
        _Switch,
        Axis(
            inactive=first_of(no_batch_norm, no_exchange),
            implies=("norm_synchronized", "norm_values"),
            follows_replicas=True,
            scaling="free",
            default="true with several replicas, unless batch norm is fused",
            values="true, false",
        ),
    ]
    """Take batch norm's statistics over all replicas instead of over each replica's own part."""
    clip: Clip
    """What gradient clipping bounds: each value, each tensor's norm, or the norm over all
    tensors."""
    clip_threshold: Annotated[
        _Positive,
        Axis(inactive=no_clipping, acts_through="clip", keeps_kernels=True, values="above 0"),
    ]
    """The bound of gradient clipping."""
    non_finite: Annotated[
        Literal["apply", "skip"], Axis(inactive=always_skips, implies=("skips_non_finite",))
    ] = "apply"
    """What to do with a step whose gradient is not finite on any replica: apply it, so that all
    replicas diverge together, or skip it on all. The check takes a part of each step;
    mixed_float16 always checks and skips."""
    optimizer: Annotated[OptimizerName, Axis(implies=("optimizer_config.*",))]
    """Optimizer as Keras names it; momentum and nesterov are kinds of SGD."""
    learning_rate: Annotated[
        _Positive,
        Axis(implies=("optimizer_config.learning_rate",), keeps_kernels=True, values="above 0"),
    ]
    """Learning rate, constant over the training."""
    precision: Annotated[
        Precision, Axis(implies=("policy", "tf32", "loss_scaling", "skips_non_finite"))
    ]
    """Precision of computation; float32 allows TF32 on GPUs, float32_strict does not."""
    jit: Annotated[
        Jit,
        Axis(
            implies=("xla", "jit", "compiled"),
            follows_replicas=True,
            scaling="free",
            default="epoch, or step with tfdata and tfrecord; "
            "none with a strategy, and on CPUs except for mlp",
        ),
    ]
    """What XLA compiles: nothing, each step, or all steps of a window in one program."""
    deterministic: Annotated[_Switch, Axis(implies=("deterministic",), values="true, false")]
    """Ask TensorFlow for kernels that give the same bits each time."""
    strategy: Annotated[
        Literal["one_device", "mirrored", "multi_worker"],
        Axis(implies=DEVICES, follows_replicas=True, scaling="compared"),
    ]
    """No strategy, several devices of one process, or several processes."""
    workers: Annotated[_Count, Axis(implies=DEVICES, scaling="compared")]
    """Processes, each with its own devices."""
    replicas: Annotated[_Count, Axis(implies=DEVICES, scaling="compared")]
    """Devices per worker."""
    threads: Annotated[
        _Count | None, Axis(inactive=default_of("threads", None), implies=THREADS)
    ] = None
    """CPU cores that each worker may use: the size of TensorFlow's thread pools and, on a CPU, the
    cores that the process is bound to. None uses the worker's whole share of its node."""
    environment: Annotated[
        EnvironmentName,
        Axis(
            inactive=default_of("environment", DEFAULT_ENVIRONMENT),
            implies=("environment.*",),
            values="a name of [environments]",
        ),
    ] = DEFAULT_ENVIRONMENT
    """What the trial's process runs under: "default", the run's own environment, or one that the
    suite defines in a table [environments.NAME]."""
    placement: Annotated[
        Literal["pack", "spread"], Axis(inactive=one_worker, implies=DEVICES, scaling="free")
    ] = "pack"
    """Pack workers onto as few nodes as possible, or spread them, one on each node."""
    communication: Annotated[
        Literal["full", "none"],
        Axis(
            inactive=one_replica,
            implies=("reduction", "norm_synchronized", "norm_values", "nccl_transport"),
            scaling="free",
        ),
    ] = "full"
    """none: replicas exchange nothing and drift apart. The time then shows what communication
    costs; the accuracy means nothing."""
    all_reduce: Annotated[
        Literal["auto", "ring", "nccl", "hierarchical_copy", "reduction_to_one_device"],
        Axis(
            inactive=first_of(no_exchange, default_of("all_reduce", "auto")),
            implies=("reduction", "nccl_transport"),
            scaling="free",
        ),
    ] = "auto"
    """How gradients are summed over replicas. auto: NCCL on GPUs, a ring on CPUs. multi_worker
    takes ring and nccl, mirrored all but ring."""
    global_batch_size: Annotated[
        _Count,
        Axis(
            implies=BATCH,
            keeps_kernels=True,
            follows_replicas=True,
            scaling="compared",
            default="32 times the replicas",
        ),
    ]
    """Examples of one step over all replicas."""
    max_steps: Annotated[
        _Count | None, Axis(inactive=not_capped, implies=STEPS, keeps_kernels=True)
    ] = None
    """Maximum steps of an epoch. Further steps are left out, and the time of a whole epoch is
    extrapolated; None leaves out none."""
    epochs: Annotated[_Count, Axis(sets_length=True)]
    """Passes over the examples."""
    warmup_epochs: Annotated[
        int,
        Field(ge=0, strict=True),
        Axis(sets_length=True, default="1, or 0 if epochs is 1", values="0 or more, below epochs"),
    ]
    """First epochs, which are recorded and left out of every figure."""
    target_accuracy: Annotated[
        Annotated[float, Field(gt=0, le=1, strict=True)] | None,
        Axis(sets_length=True, default="none", values="above 0, to 1"),
    ]
    """Validation accuracy whose time is reported as time_to_accuracy_s."""
    health_epochs: Annotated[
        FailFastTuple[_EpochCount],
        Axis(
            inactive=lambda _: "it trains nothing, and one run looks after the epochs of all",
            values="list of numbers from 0 to epochs, or -1",
            observes=True,
        ),
    ] = ()
    """After how many epochs to examine each layer's gradients and activations, untimed: 0 is
    before the first, -1 after the last. No effect on the training."""


AXES: dict[str, Axis] = {
    **{name: axis_of(field) for name, field in VariantAxes.model_fields.items()},
    "per_replica_batch_size": Axis(implies=BATCH, keeps_kernels=True, default="32"),
}
"""Every key that a suite may set on a variant, with its metadata."""
