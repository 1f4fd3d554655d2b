"""TensorFlow registers the stack's GPUs, and says what keeps it from doing so."""

import json
from pathlib import Path

import pytest

from tests.cuda.conftest import run_python
from tests.cuda.stack import DRIVER, LIBRARIES, Stack, lay_out_wheels, subset

REGISTERED = """
import json
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
print(json.dumps([tf.config.experimental.get_device_details(gpu) for gpu in gpus]))
"""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def registered(code: str, env: dict[str, str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run_python(code, env).splitlines()[-1])
    return found


def test_tensorflow_registers_every_gpu_that_is_visible(cuda_stack: Stack) -> None:
    env = cuda_stack.environment(
        4, {"FAKE_GPU_CAPABILITY": "8.6", "CUDA_VISIBLE_DEVICES": "2,1", **QUIET}
    )
    gpu = {"device_name": "Fake H100", "compute_capability": [8, 6]}
    assert registered(REGISTERED, env) == [gpu, gpu]


@pytest.mark.parametrize("missing", ["libcuda.so.1", "libcusolver.so.11", "libcudnn.so.9"])
def test_it_registers_none_where_a_library_is_missing(
    cuda_stack: Stack, tmp_path: Path, missing: str
) -> None:
    stack = subset(cuda_stack, tmp_path / "part", [name for name in LIBRARIES if name != missing])
    assert registered(REGISTERED, stack.environment(2, QUIET)) == []


def test_it_finds_the_libraries_where_pip_puts_them_once_cusolver_is_loaded(
    cuda_stack: Stack, tmp_path: Path
) -> None:
    site = tmp_path / "site-packages"
    lay_out_wheels(cuda_stack, site)
    driver = subset(cuda_stack, tmp_path / "driver", DRIVER)
    env = driver.environment(2, {"PYTHONPATH": str(site), **QUIET})
    load = (
        "import ctypes\n"
        f"ctypes.CDLL({str(site / 'nvidia/cusolver/lib/libcusolver.so.11')!r}, ctypes.RTLD_GLOBAL)"
    )
    assert len(registered(load + REGISTERED, env)) == 2
