"""Operations without a GPU kernel are reported, from TensorFlow's registry."""

import contextlib
from typing import Any

import pytest
import tensorflow as tf

from bench.training.cuda.gpu_kernels import check_kernels, dtypes_with_kernels, missing_kernels
from bench.training.exceptions import UnsupportedProgram
from bench.training.replicas import device_kind
from tests.support.training_setup import make_program, small

LOSS = "SparseSoftmaxCrossEntropyWithLogits"


@pytest.mark.parametrize("norm", ["none", "bn_post"])
def test_float64_without_xla_has_no_loss_kernel_on_a_gpu(norm: str) -> None:
    reason = missing_kernels(small(precision="float64", jit="none", norm=norm), "GPU")
    assert reason is not None
    assert {LOSS, "float64"} <= set(reason.replace(":", "").split())


@pytest.mark.parametrize(
    ("axes", "kind"),
    [
        ({"precision": "float64", "jit": "none"}, "CPU"),
        ({"precision": "float64", "jit": "step"}, "GPU"),
        ({"precision": "float64", "jit": "epoch"}, "GPU"),
        *(
            ({"precision": precision, "jit": "none"}, "GPU")
            for precision in ("float32", "float32_strict", "mixed_bfloat16", "mixed_float16")
        ),
    ],
    ids=str,
)
def test_other_settings_have_their_kernels(axes: dict[str, Any], kind: str) -> None:
    assert missing_kernels(small(**axes), kind) is None


def test_the_check_uses_this_process_s_kind_of_device() -> None:
    on_gpu = device_kind() == "GPU"
    with pytest.raises(UnsupportedProgram) if on_gpu else contextlib.nullcontext():
        check_kernels(small(precision="float64", jit="none"))


@pytest.mark.parametrize("norm", ["none", "bn_post", "layer", "group"])
@pytest.mark.parametrize(
    "axes",
    [{"activation": "prelu"}, {"activation": "gelu"}, {"workload": "convnet"}],
    ids=str,
)
def test_only_the_loss_lacks_a_float64_kernel(axes: dict[str, Any], norm: str) -> None:
    setup = make_program(small(precision="float64", jit="none", norm=norm, **axes))
    graph = setup.program.step.passes_of_replica((4, 4, 1)).graph
    types = {
        operation.type
        for operation in graph.get_operations()
        if "T" in operation.node_def.attr and operation.get_attr("T") == tf.float64
    }
    assert {"MatMul", LOSS} <= types
    assert {t for t in types if tf.float64 not in dtypes_with_kernels(t, "GPU")} == {LOSS}
