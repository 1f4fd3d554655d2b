"""The shipped suites: each has a plan and a description."""

import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

import bench
from bench.analysis.statistics.steady_state import MIN_EPOCHS
from bench.cli.set_option import parse_settings
from bench.execution.estimation.device_memory import too_large
from bench.execution.estimation.estimator import estimated_trial_s
from bench.spec.axis_values import Activation, Initializer
from bench.spec.device import DeviceType
from bench.spec.expand import Cell, expand
from bench.spec.plan import make_plan
from bench.spec.suite import DEFAULT_BLOCKS, load_suite, shipped_suites
from bench.spec.variant import FASHION_MNIST_TRAIN_EXAMPLES
from bench.training.data.windows import split_windows, window_steps
from bench.training.model.models import build_model, count_parameters

SUITES = (
    "activations",
    "clipping",
    "initializers",
    "norm",
    "notebook",
    "pipelines",
    "precision",
    "quick",
    "scaling",
    "smoke",
)
FOLDER = Path(bench.__file__).parent / "suites"
FOR_A_CLUSTER = ("bn-overhead", "bn-overhead-gpu", "bn-target", "convnet", "depth", "techniques")
"""Suites whose files begin with the command of a short form for two cores."""
MAX_EXAMPLES_TRAINED_A_BLOCK = 20_000_000
"""With six blocks, under an hour at the speed of two cores."""


def cells_of(name: str) -> dict[str, Cell]:
    return {cell.label: cell for cell in expand(load_suite(name))}


def test_exactly_these_suites_are_shipped() -> None:
    assert {*SUITES, *FOR_A_CLUSTER} == set(shipped_suites())


@pytest.mark.parametrize("name", shipped_suites())
def test_a_suite_is_named_after_its_file_and_has_a_description(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.description.endswith(".")
    assert len(suite.description.split()) >= 8


@pytest.mark.parametrize("name", shipped_suites())
def test_a_suite_compares_every_variant_and_has_blocks_for_an_interval(name: str) -> None:
    suite = load_suite(name)
    for device in get_args(DeviceType):
        plan = make_plan(suite, device)
        compared = {i for p in plan.pairs for i in (p.variant_id, p.baseline_id)}
        assert {cell.id for cell in plan.cells} == compared
    # Two repeats give an interval of one degree of freedom, which says almost nothing.
    assert suite.blocks >= 3 or name == "smoke"


@pytest.mark.parametrize("name", shipped_suites())
def test_every_label_of_a_suite_exists_on_both_kinds_of_device(name: str) -> None:
    suite = load_suite(name)
    labels = {listed["label"] for listed in suite.variants if "label" in listed}
    for device in get_args(DeviceType):
        assert labels <= {cell.label for cell in expand(suite, device)}


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_takes_less_than_an_hour_and_each_variant_has_steady_epochs(name: str) -> None:
    suite = load_suite(name)
    trials = make_plan(suite).trials
    total = sum(t.variant.examples * t.variant.epochs for t in trials)
    assert total <= MAX_EXAMPLES_TRAINED_A_BLOCK * suite.blocks
    assert suite.blocks <= DEFAULT_BLOCKS
    for trial in trials:
        assert trial.variant.epochs - trial.variant.warmup_epochs >= 1
        assert trial.variant.steps_per_epoch >= 1


@pytest.mark.parametrize("name", FOR_A_CLUSTER)
def test_a_suite_for_a_cluster_has_a_short_form_for_two_cores(name: str) -> None:
    command = shlex.split((FOLDER / f"{name}.toml").read_text().splitlines()[1].lstrip("# "))
    assert command[:3] == ["bench", "run", name]
    options = list(zip(command[3::2], command[4::2], strict=True))
    changes = parse_settings(value for option, value in options if option == "--set")
    changes["blocks"] = int(dict(options)["--blocks"])
    short, full = (
        sum(estimated_trial_s(trial.variant) for trial in make_plan(suite).trials)
        for suite in (load_suite(name, changes), load_suite(name))
    )
    assert short < 20 * 60  # "a quarter of an hour", as the files say
    assert short < full / 3


@pytest.mark.parametrize("name", sorted(set(SUITES) - {"pipelines", "smoke", "scaling"}))
def test_a_suite_trains_on_all_of_the_real_data_on_one_device(name: str) -> None:
    for cell in expand(load_suite(name)):
        variant = cell.variant
        assert (variant.dataset, variant.examples) == (
            "fashion_mnist",
            FASHION_MNIST_TRAIN_EXAMPLES,
        )
        assert variant.total_replicas == 1


def test_quick_is_small_and_smoke_is_tiny() -> None:
    def seconds(name: str, per_trial_s: float, examples_per_s: float) -> float:
        trials = make_plan(load_suite(name)).trials
        trained = sum(t.variant.examples * t.variant.epochs for t in trials)
        return len(trials) * per_trial_s + trained / examples_per_s

    # A trial takes about 3 s besides training on two cores; batch norm at batch 32 is the slowest.
    assert seconds("quick", 3, 38_000) < 270
    assert seconds("smoke", 8, 38_000) < 20


def test_scaling_has_both_baselines_of_strong_and_of_weak_scaling_for_each_strategy() -> None:
    variants = [cell.variant for cell in cells_of("scaling").values()]
    settings = {
        (v.strategy, v.total_replicas, v.global_batch_size, v.communication) for v in variants
    }
    for strategy, n, batch, communication in settings:
        assert (strategy, 1, 512, "full") in settings
        assert batch in (512, 512 * n)
        other = "none" if communication == "full" else "full"
        assert n == 1 or (strategy, n, batch, other) in settings
    assert ("one_device", 1, 512, "full") in settings
    assert {v.strategy for v in variants} == {"one_device", "mirrored", "multi_worker"}
    # A difference in compilation would look like one in strategy.
    assert {v.jit for v in variants} == {"none"}


NOTEBOOK: dict[str, Any] = {
    "workload": "mlp",
    "hidden": (300, 100),
    "dataset": "fashion_mnist",
    "examples": 55_000,
    "epochs": 10,
    "global_batch_size": 32,
    "optimizer": "sgd",
    "learning_rate": 1e-3,
    "precision": "float32",
}
PLAIN = {
    "initializer": "he_normal",
    "activation": "relu",
    "norm": "none",
    "clip": "none",
    "clip_threshold": 1.0,
}


def test_notebook_holds_exactly_its_experiments_settings() -> None:
    changes = []
    for cell in cells_of("notebook").values():
        dumped = cell.variant.model_dump()
        assert {key: dumped[key] for key in NOTEBOOK} == NOTEBOOK
        changes.append({k: dumped[k] for k, plain in PLAIN.items() if dumped[k] != plain})
    initializers = {"initializer": [i for i in get_args(Initializer) if i != "he_normal"]}
    activations = {"activation": [a for a in get_args(Activation) if a != "relu"]}
    others = {"norm": ["bn_post", "bn_pre"], "clip": ["value", "norm", "global_norm"]}
    expected = [
        {axis: value}
        for axis, values in {**initializers, **activations, **others}.items()
        for value in values
    ]
    assert sorted(map(str, changes)) == sorted(map(str, [{}, *expected]))


@pytest.mark.usefixtures("configured_tensorflow")
@pytest.mark.parametrize(
    ("beginning", "parameters", "fixed"),
    [("E3", 266_610, 0), ("E4", 271_346, 2_368), ("E5", 270_946, 2_368)],
)
def test_notebook_models_have_the_published_parameter_counts(
    beginning: str, parameters: int, fixed: int
) -> None:
    ((_, cell),) = [(k, c) for k, c in cells_of("notebook").items() if k.startswith(beginning)]
    model = build_model(cell.variant, (28, 28, 1), 10, seed=1)
    assert count_parameters(model) == (parameters, parameters - fixed)


def test_notebook_variants_are_labelled_with_their_experiment() -> None:
    labels = cells_of("notebook")
    for cell in labels.values():
        assert "label" in cell.settings
    assert {label.split()[0] for label in labels} == {"plain,", "E1", "E2", "E3", "E4", "E5", "E7"}


@pytest.mark.parametrize(
    ("name", "axis", "values"),
    [
        ("initializers", "initializer", get_args(Initializer)),
        ("activations", "activation", get_args(Activation)),
        ("norm", "norm", ("none", "bn_post", "bn_pre", "layer", "group")),
        ("clipping", "clip", ("none", "value", "norm", "global_norm")),
        ("quick", "norm", ("none", "bn_post", "bn_pre")),
    ],
)
def test_a_suite_has_every_value_of_its_axis_against_a_baseline(
    name: str, axis: str, values: tuple[str, ...]
) -> None:
    suite = load_suite(name)
    assert {getattr(c.variant, axis) for c in expand(suite)} == set(values)
    assert [c.axis for c in suite.compare] == [axis]


@pytest.mark.parametrize(
    ("name", "workload"), [("convnet", "convnet"), ("bn-overhead-gpu", "resnet50")]
)
def test_a_suite_compares_fused_batch_norm_without_xla(name: str, workload: str) -> None:
    plan = make_plan(load_suite(name))
    variants = {cell.id: cell.variant for cell in plan.cells}
    pairs = [p for p in plan.pairs if p.axis == "batch_norm"]
    compared = [variants[i] for p in pairs for i in (p.variant_id, p.baseline_id)]
    assert [v.batch_norm for v in compared] == ["fused", "keras"] * len(pairs)
    assert {(v.workload, v.jit) for v in compared} == {(workload, "none")}


def test_every_file_of_the_folder_is_a_shipped_suite() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.toml")) == shipped_suites()


@pytest.mark.parametrize("name", shipped_suites())
def test_a_suite_fits_a_gpu_of_24_gb(name: str) -> None:
    assert too_large({c.id: c.variant for c in expand(load_suite(name))}, 24 * 10**9) == {}


def test_the_epochs_of_the_gpu_s_suite_are_compiled_in_one_program() -> None:
    for cell in expand(load_suite("bn-overhead-gpu")):
        steps = cell.variant.steps_per_epoch
        assert len({count for _, count in split_windows(steps)}) == 1
        # Extrapolation needs ten windows or more, without each epoch's first.
        counted = cell.variant.epochs - cell.variant.warmup_epochs
        assert counted * (steps // window_steps(steps) - 1) >= MIN_EPOCHS
