"""The groups of axes follow from the metadata of their fields."""

from bench.spec.axes import AXES
from bench.spec.axis_groups import (
    BATCH_SIZES,
    FOLLOWS_REPLICAS,
    FREE_IN_SCALING,
    KERNEL_AXES,
    LENGTH_AXES,
    NETWORK_AXES,
    OBSERVATION_AXES,
    SCALED_AXES,
)
from bench.spec.defaults import fill_defaults
from bench.spec.variant import Variant
from bench.spec.variant_rules import inactive_settings


def test_an_axis_that_acts_through_another_is_inactive_without_it() -> None:
    plain = Variant.model_validate(fill_defaults({}))
    through = {name: axis.acts_through for name, axis in AXES.items() if axis.acts_through}
    assert through
    for name, other in through.items():
        assert inactive_settings(plain)[name].startswith(f"{other} is ")


def test_length_observation_and_scaling_do_not_overlap() -> None:
    assert SCALED_AXES < FREE_IN_SCALING
    assert not LENGTH_AXES & OBSERVATION_AXES
    assert not (LENGTH_AXES | OBSERVATION_AXES) & (FREE_IN_SCALING | FOLLOWS_REPLICAS)
    assert not {*NETWORK_AXES} & (LENGTH_AXES | OBSERVATION_AXES | FREE_IN_SCALING)


def test_sizes_lengths_and_numbers_select_no_kernels() -> None:
    assert not KERNEL_AXES & (BATCH_SIZES | LENGTH_AXES | OBSERVATION_AXES)
    assert not KERNEL_AXES & {"hidden", "depth", "filters", "learning_rate", "clip_threshold"}
    assert {"precision", "jit", "deterministic", "norm", "optimizer", "clip"} < KERNEL_AXES


def test_the_length_of_a_trial_is_in_its_id() -> None:
    """Unlike what it observes: a longer training is another one, of the same speed."""
    variant = Variant.model_validate(fill_defaults({}))
    assert variant.canonical().keys() >= LENGTH_AXES
    assert not variant.canonical().keys() & OBSERVATION_AXES
