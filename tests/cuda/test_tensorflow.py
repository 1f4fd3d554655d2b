"""TensorFlow registers the stack's GPUs if it finds all libraries."""

import json
from pathlib import Path

import pytest

from tests.cuda.conftest import run_python
from tests.cuda.stack import DRIVER, LIBRARIES, Stack, lay_out_wheels, subset

pytestmark = pytest.mark.slow

REGISTERED = """
import json
import tensorflow as tf
gpus = tf.config.list_physical_devices("GPU")
print(json.dumps([tf.config.experimental.get_device_details(gpu) for gpu in gpus]))
"""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def run_json(code: str, env: dict[str, str]) -> list[dict[str, object]]:
    answer: list[dict[str, object]] = json.loads(run_python(code, env).splitlines()[-1])
    return answer


def test_tensorflow_registers_every_visible_gpu(cuda_stack: Stack) -> None:
    env = cuda_stack.environment(
        4, {"FAKE_GPU_CAPABILITY": "8.6", "CUDA_VISIBLE_DEVICES": "2,1", **QUIET}
    )
    gpu = {"device_name": "Fake H100", "compute_capability": [8, 6]}
    assert run_json(REGISTERED, env) == [gpu, gpu]


COMPUTED = """
import dataclasses, json
import tensorflow as tf
from tests.cuda.counts import read_process, reset
with tf.device("GPU:1"):
    images, matrix = tf.zeros((2, 8, 8, 3)), tf.zeros((4, 4))
    tf.matmul(matrix, matrix), tf.nn.conv2d(images, tf.zeros((3, 3, 3, 5)), 1, "SAME")
    reset()
    tf.matmul(matrix, matrix)
    tf.nn.conv2d(images, tf.zeros((3, 3, 3, 5)), 1, "SAME")
print(json.dumps([dataclasses.asdict(device) for device in read_process().devices]))
"""


def test_work_is_counted_on_its_device(cuda_stack: Stack, tmp_path: Path) -> None:
    first, second = run_json(COMPUTED, cuda_stack.environment(2, QUIET, counters=tmp_path))
    assert [second["blas_calls"], second["dnn_calls"]] == [1, 1]
    assert [first["launches"], first["blas_calls"], first["dnn_calls"]] == [0, 0, 0]


@pytest.mark.parametrize("missing", ["libcuda.so.1", "libcusolver.so.11", "libcudnn.so.9"])
def test_it_registers_no_gpu_if_a_library_is_missing(
    cuda_stack: Stack, tmp_path: Path, missing: str
) -> None:
    stack = subset(cuda_stack, tmp_path / "part", [name for name in LIBRARIES if name != missing])
    assert run_json(REGISTERED, stack.environment(2, QUIET)) == []


def test_it_finds_the_libraries_from_pip_once_cusolver_is_loaded(
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
    assert len(run_json(load + REGISTERED, env)) == 2
