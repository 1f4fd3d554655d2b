"""Operations of a step, counted on its graph; whether there are convolutions among them."""

import pytest

from bench.training.flops import flops_of, has_convolutions
from tests.training_made import make_program, small, variant_of


@pytest.mark.parametrize("batch_size", [32, 512])
def test_a_notebook_step_has_the_products_of_its_layers_and_little_else(batch_size: int) -> None:
    made = make_program(
        variant_of(dataset="synthetic", examples=1000, global_batch_size=batch_size)
    )
    found = flops_of(made.program.step.passes_of_replica((28, 28, 1)))
    first, others = 784 * 300, 300 * 100 + 100 * 10
    # Forward and for the kernels, every layer; for the inputs, all but the first.
    products = 2 * batch_size * (2 * (first + others) + others)
    assert found is not None
    assert products < found < 1.02 * products


def test_convolutions_are_counted() -> None:
    made = make_program(small(workload="convnet", hidden=[], filters=[3]))
    found = flops_of(made.program.step.passes_of_replica((4, 4, 1)))
    forward = 2 * 32 * (4 * 4 * 9 * 3 + 2 * 2 * 3 * 5)
    assert found is not None
    assert 2 * forward < found < 3.5 * forward


@pytest.mark.parametrize(
    ("workload", "convolves"),
    [
        ("mlp", False),
        ("convnet", True),
        ("tests.training.nets:depthwise", True),
        ("tests.training.nets:within_a_model", True),
        ("tests.training.nets:in_a_loop", True),
        ("tests.training.nets:recurrent", False),
    ],
)
def test_a_network_that_convolves_is_told_from_one_that_does_not(
    workload: str, convolves: bool
) -> None:
    variant = small(workload=workload, hidden=[300, 100], filters=[32, 64], jit="none")
    made = make_program(variant)
    assert has_convolutions(made.program.step.passes_of_replica((4, 4, 1))) is convolves
