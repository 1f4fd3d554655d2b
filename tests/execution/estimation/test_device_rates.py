"""Rates of devices: by the name of a GPU, and by what XLA makes of convolutions on a CPU."""

from typing import Any

import pytest

from bench.execution.estimation.device_rates import cpu_rates, gpu_rates
from bench.execution.estimation.model_size import model_size
from bench.spec.default_jit import Jit, xla_slowdown
from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant


def variant(**settings: Any) -> Variant:
    return Variant.model_validate(fill_defaults(settings))


def flops_per_s(name: str, **settings: Any) -> float:
    sample = variant(**settings)
    return gpu_rates(name, sample, model_size(sample)).flops_per_s


@pytest.mark.parametrize(
    ("name", "float32_strict", "float32", "half"),
    [
        ("Tesla V100-SXM2-32GB", 15.7, 15.7, 125),
        ("NVIDIA A100-SXM4-80GB", 19.5, 156, 312),
        ("NVIDIA A10", 31.2, 62.5, 125),
        ("NVIDIA L40S", 91.6, 183, 362),
        ("NVIDIA H100 80GB HBM3", 67, 494, 989),
        ("NVIDIA H100 PCIe", 51, 378, 756),
    ],
)
def test_a_gpu_s_rate_is_a_share_of_the_dense_peak_at_its_precision(
    name: str, float32_strict: float, float32: float, half: float
) -> None:
    strict = flops_per_s(name, precision="float32_strict")
    assert strict < float32_strict * 1e12
    share = strict / float32_strict
    assert flops_per_s(name, precision="float32") == pytest.approx(share * float32)
    assert flops_per_s(name, precision="mixed_bfloat16") == pytest.approx(share * half)


def test_a_name_with_the_same_beginning_is_another_card() -> None:
    unknown = flops_per_s("A card of tomorrow")
    assert flops_per_s("NVIDIA A10G") == unknown
    assert flops_per_s("NVIDIA L400") == unknown
    assert flops_per_s("NVIDIA A10") > unknown


def test_gpu_rates_are_guesses() -> None:
    assert gpu_rates("NVIDIA H200", variant(), model_size(variant())).basis == "guess"
    assert cpu_rates(variant()).basis == "rates"


def test_a_step_on_a_gpu_takes_as_long_as_its_launches() -> None:
    def step_s(**settings: Any) -> float:
        sample = variant(**settings)
        return gpu_rates("NVIDIA H200", sample, model_size(sample)).step_s

    assert step_s(norm="bn_post", jit="none") > step_s(jit="none")
    assert step_s(norm="bn_post", jit="epoch") < step_s(norm="bn_post", jit="none")


@pytest.mark.parametrize("workload", ["convnet", "resnet50"])
@pytest.mark.parametrize("jit", ["step", "epoch"])
def test_xla_s_slowdown_on_a_cpu_comes_from_the_table_for_defaults(workload: str, jit: Jit) -> None:
    plain, compiled = (cpu_rates(variant(workload=workload, jit=j)) for j in ("none", jit))
    slowdown = xla_slowdown(workload, jit, "cpu")
    assert plain.flops_per_s / compiled.flops_per_s == pytest.approx(slowdown)


@pytest.mark.parametrize("workload", ["mlp", "own_nets:towers"])
def test_workloads_that_xla_does_not_slow_have_equal_estimates(workload: str) -> None:
    plain, compiled = (cpu_rates(variant(workload=workload, jit=j)) for j in ("none", "epoch"))
    assert plain == compiled


def test_a_cpu_s_rate_grows_with_threads_and_defaults_to_two() -> None:
    one, two, four = (cpu_rates(variant(threads=n)).flops_per_s for n in (1, 2, 4))
    assert (two, four) == (2 * one, 4 * one)
    assert cpu_rates(variant()).flops_per_s == two
