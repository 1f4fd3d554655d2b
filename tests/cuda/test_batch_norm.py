"""Batch norm and float64 make a GPU do the expected work in a step."""

import pytest

from tests.cuda.conftest import Evaluate
from tests.cuda.measured_epoch import MeasuredEpoch, measure
from tests.cuda.stack import Stack
from tests.support.training_setup import small

pytestmark = pytest.mark.slow

LAYERS = 2
"""The network's batch norms: on the input, and in its hidden layer."""
ARMS: dict[str, dict[str, str]] = {
    f"{norm}, {jit}, {precision}": {**settings, "jit": jit, "precision": precision}
    for jit, precision in (
        ("none", "float32"),
        ("none", "mixed_bfloat16"),
        ("epoch", "float32"),
        ("epoch", "float64"),
    )
    for norm, settings in {
        "no norm": {},
        "keras": {"norm": "bn_post"},
        "fused": {"norm": "bn_post", "batch_norm": "fused"},
    }.items()
    if precision != "float64" or norm == "no norm"
}

NO_GRAPHS = {"XLA_FLAGS": "--xla_gpu_enable_command_buffer="}
"""Makes XLA launch kernels one by one."""

Epochs = dict[str, MeasuredEpoch]


@pytest.fixture(scope="module")
def epochs(cuda_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Epochs:
    """Measure an epoch of each arm on one GPU."""
    variants = [small(hidden=[8], **settings) for settings in ARMS.values()]
    folder = tmp_path_factory.mktemp("counts")
    measured = measure(cuda_stack, variants, gpus=1, folder=folder, variables=NO_GRAPHS)
    return {
        name: epoch
        for name, epoch in zip(ARMS, measured, strict=True)
        if isinstance(epoch, MeasuredEpoch)
    }


def kernels(epoch: MeasuredEpoch) -> float:
    """Return the kernels per step, except those of cuBLAS and cuDNN."""
    return epoch.epoch.devices[0].launches / epoch.steps


def dnn_calls(epoch: MeasuredEpoch) -> float:
    """Return the calls of cuDNN per step."""
    return epoch.epoch.devices[0].dnn_calls / epoch.steps


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_fused_batch_norm_is_two_calls_of_cudnn_and_few_kernels_a_layer(
    epochs: Epochs, precision: str
) -> None:
    plain, keras, fused = (
        epochs[f"{norm}, none, {precision}"] for norm in ("no norm", "keras", "fused")
    )
    assert [dnn_calls(epoch) for epoch in (plain, keras, fused)] == [0, 0, 2 * LAYERS]
    # Two kernels scale the variance, and two update each of gamma and beta.
    assert kernels(fused) - kernels(plain) <= 6 * LAYERS
    assert kernels(keras) - kernels(plain) > 20 * LAYERS


def test_xla_makes_similar_kernels_for_both(epochs: Epochs) -> None:
    keras, fused = (epochs[f"{norm}, epoch, float32"] for norm in ("keras", "fused"))
    assert abs(kernels(fused) - kernels(keras)) <= LAYERS
    assert dnn_calls(fused) == dnn_calls(keras) == 0


def test_float64_stays_on_the_gpu_if_xla_compiles_the_step(epochs: Epochs) -> None:
    single, double = (
        epochs[f"no norm, epoch, {precision}"].epoch.devices[0]
        for precision in ("float32", "float64")
    )
    assert (double.d2h_copies, double.h2d_copies) == (single.d2h_copies, single.h2d_copies)


def test_float64_without_xla_is_refused_on_a_gpu(evaluate: Evaluate) -> None:
    code = """
from bench.training.cuda.gpu_kernels import check_kernels
from bench.training.failures import classify_exception
from tests.support.training_setup import small
try:
    check_kernels(small(jit="none", precision="float64"))
    answer = None
except Exception as error:
    answer = classify_exception(error)
"""
    status, reason = evaluate(code, gpus=1)
    assert status == "unsupported"
    assert "SparseSoftmaxCrossEntropyWithLogits" in reason
