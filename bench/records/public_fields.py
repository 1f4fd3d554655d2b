"""List the fields of a run that are published, with the shape that each value must have.

Usage:
    RECORD(names, record), ENVIRONMENT(names, environment)

Fields that are not listed here are not published. A new field of a record, an environment or a
trial's resolved settings must be added here (tests/records/test_anonymize.py reports missing ones).
"""

import re
from typing import get_args

from bench.records.epoch_record import EpochRecord
from bench.records.health_record import HealthRecord
from bench.records.measures import Measures
from bench.records.public_values import (
    HEX,
    MOMENT,
    NVIDIA_VERSION,
    VARIABLES,
    VERSION,
    Shape,
    device,
    each,
    fields,
    hidden,
    kernel,
    matching,
    node,
    nothing,
    number,
    one_of,
    reason,
    suite_text,
    table,
    visible,
    words,
)
from bench.records.public_variable_names import VARIABLE_NAME
from bench.spec.timing import Timing
from bench.spec.turn_settings import SequenceReason, TurnMode
from bench.spec.variant import Variant

_CLOCKS = fields(current_hz=number, max_hz=number, application_hz=number)
_STATE = fields(
    sm=_CLOCKS,
    memory=_CLOCKS,
    power_cap_w=number,
    default_power_cap_w=number,
    persistence=number,
    ecc=number,
    compute_mode=one_of("default", "exclusive_thread", "prohibited", "exclusive_process"),
    pcie_generation=number,
    max_pcie_generation=number,
    pcie_width=number,
    max_pcie_width=number,
    nvlinks=number,
)
_CARD: dict[str, Shape] = {
    "index": number,
    "name": words("gpu"),
    "uuid": device,
    "pci_bus_id": hidden,
    "memory_bytes": number,
    "compute_capability": matching(r"\d{1,2}\.\d{1,2}"),
    "mig": number,
}
_INSTANCE = fields(**_CARD, instances=each(number))


def _package(name: str) -> Shape:
    return NVIDIA_VERSION if name.startswith("nvidia-") else VERSION


_PACKAGE = re.compile(
    r"trainbench|tensorflow(-cpu)?|keras|ray|numpy|pandas|pyarrow|scipy|pydantic|psutil|ml_dtypes|"
    r"h5py|protobuf|nvidia-[a-z]{2,10}(-[a-z]{2,10})?(-cu\d\d|-py)"
)
ENVIRONMENT = fields(
    os=fields(
        name=words("system"),
        kernel=kernel,
        architecture=one_of("x86_64", "aarch64", "arm64", "ppc64le", "AMD64"),
        boot=hidden,
    ),
    python=fields(version=VERSION, kind=one_of("CPython", "PyPy")),
    cpu=fields(
        model=words("cpu"),
        physical_cores=number,
        logical_cores=number,
        usable_cores=number,
        affinity=each(number),
        quota_cores=number,
        governor=matching(r"((performance|powersave|schedutil|ondemand|userspace)(, )?)+"),
        turbo=number,
        load_average=each(number),
    ),
    memory=fields(
        total_bytes=number, available_bytes=number, limit_bytes=number, shared_bytes=number
    ),
    container=one_of(
        "docker", "podman", "kubernetes", "kubepods", "apptainer", "containerd", "lxc"
    ),
    gpus=each(fields(**_CARD, instances=each(_INSTANCE), state=_STATE)),
    driver=fields(version=VERSION, cuda=VERSION),
    gpu_error=reason,
    packages=table(_PACKAGE, _package),
    source=fields(commit=HEX, dirty=number),
    variables=VARIABLES,
    library_path=each(hidden),
)
ENVIRONMENT_TABLE = fields(
    python=hidden,
    variables=VARIABLES,
    revision=suite_text,
    setup=hidden,
    setup_timeout_s=number,
    threads=number,
)
"""A table [environments.NAME] of a suite."""

_LIBRARIES = re.compile(r"cudart|cublas|cublasLt|cudnn|cufft|cusolver|cusparse|nccl|nvrtc")
_BUILD = fields(
    cpu_compiler=matching(r"clang|gcc|(/usr/(local/)?(lib/llvm-\d\d/)?bin/)?(clang|gcc)(-\d\d)?"),
    cuda_compute_capabilities=each(matching(r"(sm|compute)_\d{2,3}[a-z]?")),
    cuda_version=VERSION,
    cudnn_version=VERSION,
    is_cuda_build=number,
    is_rocm_build=number,
    is_tensorrt_build=number,
    tensorrt_version=VERSION,
)
_OPTIMIZER = fields(
    name=matching(r"(sgd|rmsprop|adagrad|adam|adamw|nadam|loss_scale_optimizer)(_\d{1,6})?"),
    **dict.fromkeys(
        (
            *("learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue"),
            *("use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor"),
            *("gradient_accumulation_steps", "momentum", "nesterov", "rho", "epsilon", "centered"),
            *("beta_1", "beta_2", "amsgrad", "initial_accumulator_value"),
        ),
        number,
    ),
)
RESOLVED = fields(
    **dict.fromkeys(
        (
            *("intra_op_threads", "inter_op_threads", "xla", "tf32", "deterministic", "onednn"),
            *("per_replica_batch_size", "loss_scaling", "skips_non_finite", "augmented"),
            *("steps_per_epoch", "window_steps", "whole_epoch_steps", "examples_left_out"),
            *("norm_layers", "norm_epsilon", "norm_momentum", "norm_synchronized"),
            *("autotune_entry_count", "tracing_count", "pid", "shared_process", "simulated"),
            *("compiled_before", "has_convolutions"),
        ),
        number,
    ),
    norm_values=each(number),
    norm_groups=each(number),
    keras_settings=fields(
        image_data_format=one_of("channels_last", "channels_first"),
        floatx=one_of("float16", "bfloat16", "float32", "float64"),
        epsilon=number,
    ),
    process_start=one_of("fork", "spawn"),
    jit=one_of("none", "step", "epoch"),
    compiled=one_of("none", "passes", "step", "window", "epoch"),
    policy=one_of("float32", "float64", "mixed_bfloat16", "mixed_float16"),
    batch_norm=one_of("keras", "fused"),
    order=one_of("permutation", "bijection", "shuffle", "files"),
    python=VERSION,
    numpy=VERSION,
    tensorflow=VERSION,
    keras=VERSION,
    cuda=VERSION,
    cudnn=VERSION,
    ptxas=VERSION,
    cuda_libraries=table(_LIBRARIES, lambda _: NVIDIA_VERSION),
    build=_BUILD,
    tensorflow_strategy=one_of(
        *("_DefaultDistributionStrategy", "_DefaultDistributionStrategyV1", "OneDeviceStrategy"),
        *("MirroredStrategy", "CollectiveAllReduceStrategy", "MultiWorkerMirroredStrategy"),
    ),
    reduction=matching(
        r"CollectiveAllReduce (AUTO|RING|NCCL)|NcclAllReduce|HierarchicalCopyAllReduce"
        r"|ReductionToOneDevice|AllReduceCrossDeviceOps"
    ),
    nccl_transport=each(matching(r"(P2P|SHM|NET|COLLNET|NVLS)(/[A-Za-z0-9]{2,8}){0,4}")),
    workload_source=HEX,
    optimizer_config=_OPTIMIZER,
    timing=fields(**dict.fromkeys(Timing.model_fields, number)),
    turns=one_of(*get_args(TurnMode)),
    turns_reason=one_of(*get_args(SequenceReason)),
    environment=fields(
        name=suite_text,
        sets=each(one_of("python", "variables", "revision", "threads")),
        variables=each(matching(VARIABLE_NAME.pattern)),
        revision=fields(commit=HEX, dirty=number),
    ),
    autotune_cache=hidden,
    variables=VARIABLES,
    visible_gpus=visible,
    allotted=fields(
        gpus=each(device), logical_gpus=each(device), cores=each(number), numa_node=number
    ),
)

_KIND = one_of(
    *("dense", "convolution", "batch_norm", "layer_norm", "group_norm", "activation", "flatten"),
    *("pool", "add", "standardization", "dropout", "embedding", "concatenate", "reshape"),
)
_LEFT_OUT = each(fields(node=node, devices=each(device), reason=reason))
_TRIAL = fields(
    trial_id=suite_text,
    variant_id=suite_text,
    label=suite_text,
    block=number,
    part=number,
    order=number,
    seed=number,
    variant=fields(**dict.fromkeys(Variant.model_fields, suite_text)),
    timing=fields(**dict.fromkeys(Timing.model_fields, number)),
)
_LAYERS: dict[str, Shape] = {**dict.fromkeys(HealthRecord.model_fields, number)}
RECORD = fields(
    schema_version=number,
    trial=_TRIAL,
    attempt=number,
    invocation=number,
    status=suite_text,
    error=reason,
    log_tail=nothing,
    started_at=MOMENT,
    wall_s=number,
    node=node,
    devices=each(device),
    left_out=_LEFT_OUT,
    warnings=each(reason),
    resolved=RESOLVED,
    measures=fields(**dict.fromkeys(Measures.model_fields, number)),
    epochs=each(fields(**dict.fromkeys(EpochRecord.model_fields, number))),
    health=each(fields(**{**_LAYERS, "kind": each(_KIND)})),
)
"""The trial's ids, settings and status are checked when a record is read."""
EXECUTOR = one_of("ray", "inprocess", "simulated")
LEFT_OUT, WARNINGS = _LEFT_OUT, each(reason)
