"""What a warm-up trains: each set of kernels once, briefly, on one device."""

from typing import Any

from bench.execution.warm_up import ColdCards, cold_cards, programs
from bench.spec.plan import make_plan
from tests.suites_made import suite_of

SUITE: dict[str, Any] = {
    "name": "warm",
    "blocks": 3,
    "variant": {"dataset": "synthetic", "examples": 4096, "epochs": 5, "deterministic": False},
    "variants": [
        {"norm": "none"},
        {"norm": "none", "global_batch_size": 512, "hidden": [64], "learning_rate": 0.1},
        {"norm": "none", "strategy": "mirrored", "replicas": 2, "jit": "epoch"},
        {"norm": "none", "deterministic": True},
        {"norm": "bn_post", "pipeline": "tfrecord", "jit": "none"},
        {"norm": "bn_post", "precision": "mixed_bfloat16"},
    ],
}


def test_each_set_of_kernels_is_trained_once() -> None:
    short = programs(make_plan(suite_of(SUITE)).trials)
    kinds = [(t.variant.norm, t.variant.precision, t.variant.deterministic) for t in short]
    assert len(kinds) == 4
    assert set(kinds) == {
        ("none", "float32", False),
        ("none", "float32", True),
        ("bn_post", "float32", False),
        ("bn_post", "mixed_bfloat16", False),
    }


def test_what_stays_on_in_a_process_comes_last() -> None:
    short = programs(make_plan(suite_of(SUITE)).trials)
    assert [t.variant.deterministic for t in short] == [False, False, False, True]


def test_it_is_brief_on_one_device_and_writes_no_files() -> None:
    for trial in programs(make_plan(suite_of(SUITE)).trials):
        variant = trial.variant
        assert (variant.total_replicas, variant.epochs, variant.steps_per_epoch) == (1, 1, 2)
        assert variant.pipeline in ("device", "tfdata")
        assert trial.timing.on("GPU").warmup_s == 0


def card(name: str, capability: str, *instances: str) -> dict[str, Any]:
    """A card of an environment, as the driver lists it; two of a kind differ by a number."""
    return {
        "name": name.partition("-")[0],
        "uuid": name,
        "compute_capability": capability,
        "instances": [{"uuid": uuid} for uuid in instances],
    }


A100, H100, OTHER_H100 = card("A100", "8.0"), card("H100-0", "9.0"), card("H100-1", "9.0")


def test_one_gpu_of_a_kind_is_warmed_up_and_any_will_do_where_all_are_alike() -> None:
    assert cold_cards([H100, OTHER_H100], ["H100-0", "H100-1"]) == ColdCards(("H100-0",), False)
    assert cold_cards([H100, OTHER_H100], ["H100-1"]) == ColdCards(("H100-1",), False)


def test_the_right_gpu_is_named_where_ray_could_give_another() -> None:
    assert cold_cards([A100, H100], ["A100", "H100-0"]) == ColdCards(("H100-0",), True)
    assert cold_cards([A100, H100], ["H100-0"]) == ColdCards(("H100-0",), False)
    assert cold_cards([A100], ["A100"]) == ColdCards((), False)


def test_of_a_split_card_it_is_an_instance() -> None:
    split = card("H100-0", "9.0", "MIG-0", "MIG-1")
    assert cold_cards([split], ["MIG-1"]) == ColdCards(("MIG-1",), False)
