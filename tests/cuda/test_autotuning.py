"""XLA on a GPU stores its autotuning results, reads them, and replaces damaged ones."""

from pathlib import Path
from typing import Any

import pytest

from tests.cuda.conftest import Evaluate

pytestmark = pytest.mark.slow

COMPILE = """
import json
from bench.execution.gpus.autotuning_cache import share_autotuning_cache
from bench.measure.gpu import gpus
settings, _ = share_autotuning_cache([gpus()[{gpu}].uuid])
import numpy as np
import tensorflow as tf

tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[{gpu}], "GPU")
product = tf.function(tf.matmul, jit_compile=True)
with tf.device("GPU:0"):
    left, right = (tf.constant(np.ones(shape, np.float32)) for shape in ((256, 784), (784, 512)))
    answer = settings | {{"shape": product(left, right).shape.as_list()}}
"""


@pytest.fixture
def compile_product(evaluate: Evaluate, tmp_path: Path) -> Any:
    """Compile a product in a fresh process, on the GPU with the given number."""

    def run(gpu: int = 0) -> Any:
        return evaluate(
            COMPILE.format(gpu=gpu),
            BENCH_CACHE_DIR=str(tmp_path / "cache"),
            FAKE_GPU_MEMORY_BYTES=str(2**30),
            TF_CPP_MIN_LOG_LEVEL="3",
            TF_FORCE_GPU_ALLOW_GROWTH="true",
            XLA_FLAGS="",
        )

    return run


def entries(cache: Path) -> dict[str, str]:
    """Return the entries of each GPU's folder."""
    files = cache.rglob("*.textproto")
    return {str(path.relative_to(cache)): path.read_text() for path in files}


def test_a_result_is_reused_by_later_processes_and_replaced_if_it_is_damaged(
    compile_product: Any, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert compile_product()["autotune_entry_count"] == 0
    ((name, content),) = entries(cache).items()
    assert content
    # XLA would not write this comment: if it stays, XLA has read the entry and not replaced it.
    (cache / name).write_text(f"# read\n{content}")
    assert compile_product()["autotune_entry_count"] == 1
    assert entries(cache)[name].startswith("# read")
    (cache / name).write_text("gemm {{{")
    assert compile_product()["shape"] == [256, 512]
    assert "{{{" not in entries(cache)[name]


def test_each_gpu_has_its_own_results(compile_product: Any, tmp_path: Path) -> None:
    compile_product(0), compile_product(1)
    folders = {Path(name).parent for name in entries(tmp_path / "cache")}
    assert len(folders) == 2
