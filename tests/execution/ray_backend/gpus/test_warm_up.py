"""What a warm-up trains: each set of kernels once, briefly, on one device."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.execution.gpus.warm_up_marks import WarmUpMarks
from bench.execution.ray_backend.gpus.warm_up import ColdCards, cold_cards, programs
from bench.spec.plan import make_plan
from tests.support.sample_suites import suite_of

SUITE: dict[str, Any] = {
    "name": "warm",
    "blocks": 3,
    "variant": {"dataset": "synthetic", "examples": 4096, "epochs": 5, "deterministic": False},
    "variants": [
        {"norm": "none"},
        {"norm": "none", "global_batch_size": 512, "hidden": [64], "learning_rate": 0.1},
        {"norm": "none", "target_accuracy": 0.9, "epochs": 7},
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


def test_deterministic_programs_come_last() -> None:
    short = programs(make_plan(suite_of(SUITE)).trials)
    assert [t.variant.deterministic for t in short] == [False, False, False, True]


def test_a_warm_up_trial_is_short_on_one_device_and_writes_no_files() -> None:
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


def cold(cards: Sequence[Any], *usable: str, cache: Path | None = None) -> ColdCards:
    """What of a node with ``cards`` is to be warmed up for two programs."""
    environ = {} if cache is None else {"CUDA_CACHE_PATH": str(cache)}
    return cold_cards(cards, usable, ["a", "b"], environ)


def test_one_gpu_of_each_kind_is_warmed_up_and_any_one_if_all_are_equal() -> None:
    cards, both = [H100, OTHER_H100], ("a", "b")
    assert cold(cards, "H100-0", "H100-1") == ColdCards({"H100-0": both}, False)
    assert cold(cards, "H100-1") == ColdCards({"H100-1": both}, False)


def test_the_gpu_is_named_if_ray_could_assign_another_kind() -> None:
    assert cold([A100, H100], "A100", "H100-0") == ColdCards({"H100-0": ("a", "b")}, True)
    assert cold([A100, H100], "H100-0") == ColdCards({"H100-0": ("a", "b")}, False)
    assert cold([A100], "A100") == ColdCards({}, False)


def test_an_instance_of_a_split_card_is_warmed_up() -> None:
    split = card("H100-0", "9.0", "MIG-0", "MIG-1")
    assert cold([split], "MIG-1") == ColdCards({"MIG-1": ("a", "b")}, False)


def test_kernels_marked_in_cuda_s_cache_are_not_repeated_on_cards_of_that_name(
    tmp_path: Path,
) -> None:
    environ = {"CUDA_CACHE_PATH": str(tmp_path)}
    WarmUpMarks(environ, "H100").add("a")
    assert cold([H100], "H100-0", cache=tmp_path) == ColdCards({"H100-0": ("b",)}, False)
    assert cold([card("H200", "9.0")], "H200", cache=tmp_path).program_count == 2
    WarmUpMarks(environ, "H100").add("b")
    assert cold([OTHER_H100], "H100-1", cache=tmp_path) == ColdCards({}, False)


def test_without_a_folder_for_the_cache_nothing_is_marked() -> None:
    marks = WarmUpMarks({}, "H100")
    marks.add("a")
    assert "a" not in marks
