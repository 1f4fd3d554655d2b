"""What XLA on a GPU does with the folder of its choices: it keeps them, reads them, mends them."""

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
def compiled(evaluate: Evaluate, tmp_path: Path) -> Any:
    """Compile a product in a process of its own, on the GPU of that number."""

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


def choices(cache: Path) -> dict[str, str]:
    """The entries of each GPU's folder."""
    found = cache.rglob("*.textproto")
    return {str(path.relative_to(cache)): path.read_text() for path in found}


def test_a_choice_is_kept_for_later_processes_and_chosen_anew_where_it_is_damaged(
    compiled: Any, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert compiled()["autotune_entry_count"] == 0
    ((name, chosen),) = choices(cache).items()
    assert chosen
    # As XLA would not write it: what is still there afterwards was read and not chosen again.
    (cache / name).write_text(f"# read\n{chosen}")
    assert compiled()["autotune_entry_count"] == 1
    assert choices(cache)[name].startswith("# read")
    (cache / name).write_text("gemm {{{")
    assert compiled()["shape"] == [256, 512]
    assert "{{{" not in choices(cache)[name]


def test_another_gpu_keeps_its_own(compiled: Any, tmp_path: Path) -> None:
    compiled(0), compiled(1)
    folders = {Path(name).parent for name in choices(tmp_path / "cache")}
    assert len(folders) == 2
