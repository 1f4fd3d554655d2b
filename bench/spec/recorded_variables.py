"""List the environment variables whose values may be recorded: those that change speed.

Usage:
    recorded_values({"TF_XLA_FLAGS": "...", "API_TOKEN": "..."})     # {"TF_XLA_FLAGS": "..."}
"""

import re
from collections.abc import Mapping

VARIABLES = frozenset(
    {
        *("CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_VISIBLE_DEVICES"),
        *("CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"),
        *("CUDA_CACHE_DISABLE", "CUDA_CACHE_MAXSIZE", "CUDA_CACHE_PATH", "CUDA_MODULE_LOADING"),
        *("CUDA_DISABLE_PTX_JIT", "CUDA_FORCE_PTX_JIT"),
        *("KERAS_BACKEND", "KERAS_NNX_ENABLED", "LD_PRELOAD", "MALLOC_ARENA_MAX", "MALLOC_CONF"),
        *("NUMEXPR_NUM_THREADS", "NVIDIA_TF32_OVERRIDE", "RAY_DEDUP_LOGS"),
        *("TF_CPU_ALLOCATOR_USE_BFC", "TF_CUDNN_DETERMINISTIC", "TF_CUDNN_USE_AUTOTUNE"),
        *("TF_CONV2D_USE_FP16_ACCUMULATE", "TF_CUDNN_USE_FRONTEND", "TF_DETERMINISTIC_OPS"),
        *("TF_DATA_EXPERIMENT_OPT_IN", "TF_DATA_EXPERIMENT_OPT_OUT", "TF_DISABLE_MKL"),
        *("TF_ENABLE_AUTO_MIXED_PRECISION", "TF_ENABLE_ONEDNN_OPTS", "TF_ENABLE_ONEDNN_SPMM"),
        *("TF_ENABLE_WINOGRAD_NONFUSED", "TF_FP16_CONV_USE_FP32_COMPUTE"),
        *("TF_FP16_MATMUL_USE_FP32_COMPUTE", "TF_FP16_RNN_USE_FP32_COMPUTE"),
        "TF_FUNCTION_JIT_COMPILE_DEFAULT",
        *("TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_GPU_THREAD_COUNT"),
        *("TF_GPU_THREAD_MODE", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"),
        *("TF_OVERRIDE_GLOBAL_THREADPOOL", "TF_SET_ONEDNN_FPMATH_MODE", "TF_USE_CUBLASLT"),
        *("TF_USE_DEEP_CONV2D", "TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS", "XLA_FLAGS"),
    }
)
"""Variables that change speed, by name. TF_CONFIG is not listed, because it holds addresses."""
FAMILIES = ("DNNL_", "GOMP_", "KMP_", "MKL_", "NCCL_", "OMP_", "ONEDNN_", "OPENBLAS_")
_SECRET = re.compile("TOKEN|SECRET|PASSWORD|KEY|CREDENTIAL")


def recorded_values(all_set: Mapping[str, str]) -> dict[str, str]:
    """Return those of ``all_set`` that change speed, by an allow-list."""
    return {
        name: value
        for name, value in sorted(all_set.items())
        if name in VARIABLES or (name.startswith(FAMILIES) and not _SECRET.search(name))
    }
