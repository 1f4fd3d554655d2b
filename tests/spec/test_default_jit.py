"""The default of ``jit``, and the measured slowdown of other values."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.spec.default_jit import SLOW, Jit, default_jit, xla_slowdown
from bench.spec.defaults import fill_defaults
from bench.spec.device import DeviceType
from bench.spec.variant import Variant

CUSTOM = "my_nets:towers"
WORKLOADS = ("mlp", "convnet", "resnet50", CUSTOM)
CONVOLVING = ("convnet", "resnet50", CUSTOM)
"""Workloads that have convolutions; a custom one may."""


def jit_of(workload: str, device: DeviceType, pipeline: str = "device") -> str:
    return default_jit(workload, device, strategy="one_device", pipeline=pipeline)


@pytest.mark.parametrize(
    ("pipeline", "most"), [("device", "epoch"), ("tfdata", "step"), ("tfrecord", "step")]
)
def test_xla_compiles_as_much_as_it_can_except_for_convolutions_on_a_cpu(
    pipeline: str, most: str
) -> None:
    assert {jit_of(workload, "gpu", pipeline) for workload in WORKLOADS} == {most}
    assert jit_of("mlp", "cpu", pipeline) == most
    assert {jit_of(workload, "cpu", pipeline) for workload in CONVOLVING} == {"none"}


@pytest.mark.parametrize("strategy", ["mirrored", "multi_worker"])
def test_xla_compiles_nothing_under_a_strategy(strategy: str) -> None:
    for device in get_args(DeviceType):
        assert default_jit("mlp", device, strategy=strategy, pipeline="device") == "none"


@given(
    st.sampled_from(WORKLOADS),
    st.sampled_from(get_args(DeviceType)),
    st.sampled_from(["one_device", "mirrored"]),
    st.sampled_from(["device", "tfdata"]),
)
def test_the_default_is_never_known_to_be_slow(
    workload: str, device: DeviceType, strategy: str, pipeline: str
) -> None:
    jit = default_jit(workload, device, strategy=strategy, pipeline=pipeline)
    assert xla_slowdown(workload, jit, device) is None


@given(st.sampled_from(WORKLOADS), st.sampled_from(get_args(Jit)), st.sampled_from(["cpu", "gpu"]))
def test_a_jit_that_a_suite_sets_holds_on_every_device(
    workload: str, jit: Jit, device: DeviceType
) -> None:
    settings = {"workload": workload, "jit": jit}
    assert Variant.model_validate(fill_defaults(settings, device)).jit == jit


def test_convolutions_are_slowest_in_whole_epochs_and_only_cpus_are_known() -> None:
    for workload in CONVOLVING:
        step, epoch = (xla_slowdown(workload, jit, "cpu") for jit in ("step", "epoch"))
        assert step is not None
        assert epoch is not None
        assert SLOW <= step < epoch
        assert xla_slowdown(workload, "epoch", "gpu") is None
        assert xla_slowdown(workload, "none", "cpu") is None
    assert {xla_slowdown("mlp", jit, "cpu") for jit in ("step", "epoch")} == {None}


def test_an_unknown_network_gets_the_worst_measured_slowdown() -> None:
    custom, builtin = (xla_slowdown(workload, "epoch", "cpu") for workload in (CUSTOM, "convnet"))
    assert custom is not None
    assert builtin is not None
    assert custom >= builtin
