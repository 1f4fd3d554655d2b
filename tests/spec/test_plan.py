"""A plan orders trials by a seed, balanced, reproducible and extendable."""

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import SuiteError
from bench.spec.arm_order import williams_row_count
from bench.spec.device import DeviceType
from bench.spec.plan import Plan, Trial, make_plan, plan_anywhere
from bench.spec.suite import parse_suite

NORMS = ["none", "bn_post", "bn_pre", "layer", "group"]


def plan(arms: int = 3, *, compare: bool = True, **content: Any) -> Plan:
    suite: dict[str, Any] = {"name": "test", "matrix": {"norm": NORMS[:arms]}, **content}
    if compare:
        suite["compare"] = [{"axis": "norm", "baseline": "none"}]
    return make_plan(parse_suite(suite))


@given(st.integers(2, 5), st.integers(0, 2**31 - 1), st.integers(1, 3))
def test_over_complete_cycles_a_plan_is_as_balanced_as_the_square(
    arms: int, seed: int, cycles: int
) -> None:
    rows = williams_row_count(arms)
    full_plan = plan(arms, seed=seed, blocks=rows * cycles)
    orders = [[t.variant_id for t in block.trials] for block in full_plan.blocks]
    positions = Counter((position, arm) for row in orders for position, arm in enumerate(row))
    successions = Counter(p for row in orders for p in itertools.pairwise(row))
    assert set(positions.values()) == {cycles * rows // arms}
    assert set(successions.values()) == {cycles * rows // arms}
    assert len(successions) == arms * (arms - 1)


@given(st.integers(0, 2**31 - 1))
def test_the_same_suite_gives_the_same_plan(seed: int) -> None:
    assert plan(seed=seed, blocks=4) == plan(seed=seed, blocks=4)


def test_another_seed_gives_another_order() -> None:
    def orders(seed: int) -> list[str]:
        return [t.variant_id for t in plan(5, seed=seed, blocks=4).trials]

    assert len({tuple(orders(seed)) for seed in range(20)}) == 20
    assert all(Counter(orders(seed)) == Counter(orders(0)) for seed in range(20))


@given(st.integers(1, 30), st.integers(1, 30), st.booleans(), st.integers(0, 1000))
def test_more_blocks_only_append(fewer: int, more: int, compare: bool, seed: int) -> None:
    fewer, more = sorted((fewer, more))
    short = plan(compare=compare, seed=seed, blocks=fewer)
    long = plan(compare=compare, seed=seed, blocks=more)
    assert long.blocks[: len(short.blocks)] == short.blocks
    assert long.pairs == short.pairs


def test_a_trials_seed_is_the_suites_plus_its_block() -> None:
    full_plan = plan(seed=100, blocks=3)
    assert {(t.block, t.seed) for t in full_plan.trials} == {(0, 100), (1, 101), (2, 102)}


def test_trials_are_numbered_in_planned_order_and_named_by_block_and_variant() -> None:
    trials: tuple[Trial, ...] = plan(blocks=3).trials
    assert [t.order for t in trials] == list(range(9))
    assert all(t.trial_id == f"b{t.block:03d}-{t.variant_id}" for t in trials)
    assert len({t.trial_id for t in trials}) == 9


def test_compared_variants_share_a_block_and_others_have_their_own() -> None:
    matrix = {"norm": ["none", "layer"], "epochs": [2, 3]}
    compared = plan(matrix=matrix, blocks=2)
    assert [len(block.trials) for block in compared.blocks] == [2, 2, 2, 2]
    for block in compared.blocks:
        assert len({t.variant.epochs for t in block.trials}) == 1
    alone = plan(matrix=matrix, blocks=2, compare=False)
    assert [len(block.trials) for block in alone.blocks] == [1] * 8


def test_comparisons_that_share_a_variant_share_its_block() -> None:
    full_plan = make_plan(
        parse_suite(
            {
                "name": "test",
                "blocks": 1,
                "matrix": {"norm": ["none", "layer"], "clip": ["none", "value"]},
                "compare": [
                    {"axis": "norm", "baseline": "none"},
                    {"axis": "clip", "baseline": "none"},
                ],
            }
        )
    )
    assert [len(block.trials) for block in full_plan.blocks] == [4]


def test_a_group_of_more_arms_than_fit_is_trained_in_parts_with_a_baseline_each() -> None:
    full_plan = plan(5, blocks=2, arms_at_once=2)
    assert [len(block.trials) for block in full_plan.blocks] == [3, 3, 3, 3]
    baseline = full_plan.pairs[0].baseline_id
    for block in full_plan.blocks:
        (part,) = {trial.part for trial in block.trials}
        names = {t.variant_id: t.trial_id for t in block.trials}
        suffix = "-part2" if part else ""
        assert names.pop(baseline) == f"b{block.repeat:03d}-{baseline}{suffix}"
        assert all(name == f"b{block.repeat:03d}-{id_}" for id_, name in names.items())
    assert len({t.trial_id for t in full_plan.trials}) == 12
    assert {(block.repeat, block.trials[0].part) for block in full_plan.blocks} == {
        *((0, 0), (0, 1), (1, 0), (1, 1))
    }


def test_a_group_that_fits_has_the_same_plan_whatever_the_limit() -> None:
    assert plan(5, blocks=3, arms_at_once=4) == plan(5, blocks=3, arms_at_once=100)


def test_a_plan_survives_json() -> None:
    full_plan = plan(blocks=2)
    assert Plan.model_validate_json(full_plan.model_dump_json()) == full_plan


def ids(suite: dict[str, Any], device: DeviceType) -> list[str]:
    return [cell.id for cell in make_plan(parse_suite({"name": "test", **suite}), device).cells]


def test_ids_depend_on_the_device_only_if_a_default_does() -> None:
    for same in ({}, {"variant": {"workload": "convnet", "jit": "none"}}):
        assert ids(same, "cpu") == ids(same, "gpu")
    assert ids({"variant": {"workload": "convnet"}}, "cpu") != ids(
        {"variant": {"workload": "convnet"}}, "gpu"
    )


def test_a_plan_names_its_kind_of_device() -> None:
    suite = parse_suite({"name": "test", "variant": {"workload": "convnet"}})
    on_cpus, on_gpus = make_plan(suite, "cpu"), make_plan(suite, "gpu")
    assert (on_cpus.device, on_cpus.cells[0].variant.jit) == ("cpu", "none")
    assert (on_gpus.device, on_gpus.cells[0].variant.jit) == ("gpu", "epoch")


def test_a_suite_is_refused_before_devices_are_known_only_if_it_is_wrong_on_all() -> None:
    compare = [{"axis": "jit", "baseline": "none"}]
    one = [{"workload": "convnet"}, {"workload": "convnet", "jit": "none"}]
    only_on_gpus = parse_suite({"name": "test", "variants": one, "compare": compare})
    assert plan_anywhere(only_on_gpus).device == "gpu"
    other = [{"workload": "mlp", "jit": "step"}, {"workload": "mlp"}]
    with pytest.raises(SuiteError, match="no two variants differ only in jit"):
        plan_anywhere(parse_suite({"name": "test", "variants": other, "compare": compare}))
