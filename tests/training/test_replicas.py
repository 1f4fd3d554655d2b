"""Training computes the same on 1, 2 and 4 replicas of a process, and on 2 workers of 1 or 2.

In float64, all weights agree up to rounding after 128 steps. In other precisions, they agree within
a tolerance after ten steps, since rounding errors grow. This holds with each kind of clipping and
with batch norm over all replicas. Every arrangement really trains, in fresh processes: mirrored on
logical CPUs, workers connected over loopback.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bench.execution.turns.worker_records import same_weights
from tests.support.replica_jobs import LATE_S, TRAIN, Job, JobResult, run_jobs
from tests.support.training_setup import variant_of

# Each arrangement traces all of its jobs, which takes long on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "one device": {},
    "mirrored 2": {"strategy": "mirrored", "replicas": 2},
    "mirrored 4": {"strategy": "mirrored", "replicas": 4},
    "two workers": {"strategy": "multi_worker", "workers": 2, "all_reduce": "ring"},
    "two workers of two": {
        "strategy": "multi_worker",
        "workers": 2,
        "replicas": 2,
        "all_reduce": "ring",
    },
    "mirrored 2, to one": {
        "strategy": "mirrored",
        "replicas": 2,
        "all_reduce": "reduction_to_one_device",
    },
    "mirrored 4, in a hierarchy": {
        "strategy": "mirrored",
        "replicas": 4,
        "all_reduce": "hierarchical_copy",
    },
}
"""Mirrored arrangements that set ``all_reduce`` run only the job "plain"."""
SEVERAL = tuple(ARRANGEMENTS)[1:]

LONG: dict[str, Any] = {"precision": "float64", "norm": "bn_post", "optimizer": "momentum"}
TEN_STEPS: dict[str, Any] = {
    "hidden": [8],
    "examples": 320,
    "global_batch_size": 32,
    "norm": "bn_post",
    # In bfloat16, a rate ten times higher, or batch norm over 8 examples, would end 2e-3 apart.
    "learning_rate": 0.005,
}

PENALISED: dict[str, Any] = {
    "workload": "tests.support.penalised_workload:net",
    "norm": "layer",
    "clip": "norm",
    "clip_threshold": 0.2,
}

CLIPS: dict[str, dict[str, Any]] = {
    "plain": {},
    "value": {"clip": "value", "clip_threshold": 0.05},
    "norm": {"clip": "norm", "clip_threshold": 0.2},
    "global_norm": {"clip": "global_norm", "clip_threshold": 0.5},
}
TOLERANCE = {"float32": 1e-6, "mixed_bfloat16": 5e-4, "mixed_float16": 5e-4}

AGREE: dict[str, tuple[dict[str, Any], float]] = {
    **{clip: ({**LONG, **settings}, 1e-12) for clip, settings in CLIPS.items()},
    "tfdata": ({**LONG, "norm": "bn_pre", "pipeline": "tfdata"}, 1e-12),
    "tfrecord": ({**LONG, "norm": "layer", "pipeline": "tfrecord"}, 1e-12),
    "compiled": ({**LONG, "norm": "layer", "jit": "step"}, 1e-12),
    "penalties": ({**LONG, **PENALISED, "jit": "step"}, 1e-12),
    **{
        f"{precision}, {clip}": ({**TEN_STEPS, **settings, "precision": precision}, tolerance)
        for precision, tolerance in TOLERANCE.items()
        for clip, settings in CLIPS.items()
    },
}
"""Settings, and the largest difference of a tensor from one device's: ``distance`` in float64,
``gap`` in other precisions, in which a bias near 0 is mostly rounding error."""

OVERFLOWS: dict[str, Any] = {"precision": "mixed_float16", "initializer": "ones", "examples": 512}
"""Only the white image overflows: its units of 784 meet a gradient scaled by 2**15."""

ONE_STEP: dict[str, Any] = {"precision": "float64", "norm": "bn_post", "examples": 8}

BREAKS: dict[str, Any] = {
    "activation": "exponential",
    "initializer": "ones",
    "hidden": [4],
    "examples": 16,
}
"""The exponential of 784 white pixels overflows float32; that of black ones is 1."""

FEW_STEPS: dict[str, Any] = {"examples": 80, "hidden": [8]}

PIPELINES = ("device", "tfdata", "tfrecord")

LAYERS: dict[str, dict[str, Any]] = {
    precision: {
        **ONE_STEP,
        "precision": precision,
        "optimizer": "momentum",
        "clip": "norm",
        "clip_threshold": 0.2,
    }
    for precision in ("float64", "mixed_float16")
}

UNSYNCHRONIZED: dict[str, dict[str, Any]] = {
    **{precision: {"precision": precision} for precision in TOLERANCE},
    "compiled": {"precision": "float32", "jit": "step"},
}
"""Settings for batch norm computed in both ways, on each replica's part."""

JOBS = [
    *(Job(name, settings) for name, (settings, _) in AGREE.items()),
    *(
        Job(f"{way}, {name}", {**TEN_STEPS, **settings, "batch_norm": way, "synchronized": False})
        for name, settings in UNSYNCHRONIZED.items()
        for way in ("keras", "fused")
    ),
    Job("timed twice", LONG, "repeat"),
    Job("overflows", OVERFLOWS, one_bright=True),
    Job("breaks, float32", BREAKS, one_bright=True),
    Job("breaks, mixed_bfloat16", {**BREAKS, "precision": "mixed_bfloat16"}, one_bright=True),
    Job("breaks, skipped", {**BREAKS, "non_finite": "skip"}, one_bright=True),
    Job("global statistics", {**ONE_STEP, "synchronized": True}),
    Job("local statistics", {**ONE_STEP, "synchronized": False}),
    Job("no communication", {**LONG, "examples": 80, "communication": "none"}),
    Job("no communication, float32", {**TEN_STEPS, "learning_rate": 1e-3, "communication": "none"}),
    Job("late", FEW_STEPS, kind="late"),
    Job("late, no communication", {**FEW_STEPS, "communication": "none"}, kind="late"),
    *(Job(f"look, {p}", {"examples": 103, "pipeline": p}, kind="look") for p in PIPELINES),
    *(Job(f"layers, {precision}", settings, "examine") for precision, settings in LAYERS.items()),
    Job("all compiled", {"jit": "epoch"}, kind="refuse"),
    Job("sum inside", {"jit": "step", "norm": "bn_post"}, kind="refuse"),
    Job("faulty", FEW_STEPS, kind="fault"),
    Job("faulty, compiled", {**FEW_STEPS, "jit": "step"}, kind="fault"),
]
NOT_FOR_FOUR = (
    "local statistics",
    "no communication",
    "no communication, float32",
    "look, tfdata",
    "look, tfrecord",
)
"""Jobs that four replicas skip, since each replica traces every job."""

OF_TWO = (
    *(
        "plain",
        "timed twice",
        "global_norm",
        "tfdata",
        "tfrecord",
        "compiled",
        "global statistics",
        "no communication",
    ),
    *(f"look, {p}" for p in PIPELINES),
)
"""Jobs for workers of two devices each, as on nodes with several GPUs."""


def _runs_on(arrangement: str, job: Job) -> bool:
    if arrangement == "two workers of two":
        return job.name in OF_TWO
    if "all_reduce" in ARRANGEMENTS[arrangement] and arrangement != "two workers":
        return job.name == "plain"
    if arrangement == "one device":
        return job.kind in ("train", "look", "examine")
    if arrangement == "mirrored 4":
        return job.kind in ("train", "look") and job.name not in NOT_FOR_FOUR
    return job.kind != "late" or arrangement == "two workers"


CASES = {
    (arrangement, job.name)
    for arrangement in ARRANGEMENTS
    for job in JOBS
    if _runs_on(arrangement, job)
}


def cases(names: Iterable[str], arrangements: Iterable[str] = SEVERAL) -> pytest.MarkDecorator:
    """Parametrize ``arrangement`` and ``name`` over the cases that run."""
    pairs = [(a, n) for n in names for a in arrangements if (a, n) in CASES]
    return pytest.mark.parametrize(("arrangement", "name"), pairs)


Run = Callable[[str, str], JobResult]


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Return the result of a job on an arrangement, all of whose jobs run together.

    Only arrangements that some test of this session needs run, two at a time: tracing a program
    occupies one core.
    """
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    needed = {"one device", "two workers", *(call.get("arrangement") for call in calls)}
    folder = tmp_path_factory.mktemp("replicas")

    def jobs_of(arrangement: str) -> dict[str, JobResult]:
        jobs = [job for job in JOBS if (arrangement, job.name) in CASES]
        return run_jobs(ARRANGEMENTS[arrangement], jobs, folder / arrangement)

    with ThreadPoolExecutor(2) as pool:
        results = {name: pool.submit(jobs_of, name) for name in ARRANGEMENTS if name in needed}
        yield lambda arrangement, name: results[arrangement].result()[name]


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the distance of two tensors, relative to the norm of the second."""
    norm = max(float(np.linalg.norm(theirs)), 1e-3)
    return float(np.linalg.norm(ours - theirs)) / norm


def gap(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference of two tensors, relative to the largest weight, or to 1."""
    return float(np.abs(ours - theirs).max()) / max(1.0, float(np.abs(theirs).max()))


@cases(AGREE)
def test_any_number_of_replicas_ends_with_one_devices_weights(
    arrangement: str, name: str, run: Run
) -> None:
    settings, tolerance = AGREE[name]
    difference = distance if settings["precision"] == "float64" else gap
    multiple, single = run(arrangement, name), run("one device", name)
    assert len(multiple.weights) == len(single.weights) > 0
    for ours, (theirs,) in zip(multiple.weights, single.weights, strict=True):
        for of_replica in ours:
            assert difference(of_replica, theirs) <= tolerance
    assert multiple.facts["loss"] == pytest.approx(single.facts["loss"], rel=tolerance)
    assert multiple.facts["accuracy"] == pytest.approx(single.facts["accuracy"], abs=10 * tolerance)
    for count in ("clipped_steps", "skipped_steps"):
        assert multiple.facts[count] == single.facts[count]


@cases(f"layers, {precision}" for precision in LAYERS)
def test_layer_health_agrees_on_any_number_of_replicas_and_changes_nothing(
    arrangement: str, name: str, run: Run
) -> None:
    ours, theirs = (run(a, name).facts for a in (arrangement, "one device"))
    assert not ours["changed"]
    assert not theirs["changed"]
    assert ours["health"]["kind"] == theirs["health"]["kind"]
    tolerance = {"layers, float64": 2e-5, "layers, mixed_float16": 0.02}[name]
    for key in theirs["health"].keys() - {"kind"}:
        actual, expected = (np.asarray(of["health"][key], float) for of in (ours, theirs))
        np.testing.assert_allclose(actual, expected, tolerance, tolerance / 10, err_msg=key)


@cases(AGREE)
def test_replicas_have_bitwise_equal_weights(arrangement: str, name: str, run: Run) -> None:
    result, axes = run(arrangement, name), ARRANGEMENTS[arrangement]
    for of_replicas in result.weights[: result.trainable]:
        assert len(of_replicas) == axes.get("workers", 1) * axes.get("replicas", 1)
        for of_replica in of_replicas[1:]:
            np.testing.assert_array_equal(of_replica, of_replicas[0])


@cases(["timed twice"])
def test_an_epoch_timed_twice_after_a_warm_up_is_trained_once(
    arrangement: str, name: str, run: Run
) -> None:
    result, plain = run(arrangement, name), run(arrangement, "plain")
    assert result.facts["repeats"] == 2
    for ours, theirs in zip(result.weights, plain.weights, strict=True):
        assert distance(ours, theirs) < 1e-12


@pytest.mark.parametrize("kind", ["value", "norm", "global_norm"])
def test_clipping_changes_some_steps_of_these_runs(kind: str, run: Run) -> None:
    clipped, plain = run("one device", kind), run("one device", "plain")
    assert 10 < clipped.facts["clipped_steps"] <= 128
    assert distance(clipped.weights[0], plain.weights[0]) > 1e-3


@cases(["overflows", "breaks, skipped"], ARRANGEMENTS)
def test_an_overflow_on_one_replica_skips_that_step_on_all(
    arrangement: str, name: str, run: Run
) -> None:
    result, single = run(arrangement, name), run("one device", name)
    steps = {"overflows": 64, "breaks, skipped": 2}[name]
    assert (result.facts["steps"], result.facts["skipped_steps"]) == (steps, 1)
    assert np.isfinite(result.facts["loss"])
    for ours, (theirs,) in zip(result.weights, single.weights, strict=True):
        for of_replica in ours:
            assert np.isfinite(of_replica).all()
            assert gap(of_replica, theirs) <= 1e-6


@cases(["breaks, float32", "breaks, mixed_bfloat16"], ARRANGEMENTS)
def test_without_skipping_all_replicas_diverge_together(
    arrangement: str, name: str, run: Run
) -> None:
    result, single = run(arrangement, name), run("one device", name)
    assert (result.facts["steps"], result.facts["skipped_steps"]) == (2, 0)
    assert not np.isfinite(result.facts["loss"])
    for ours, (theirs,) in zip(result.weights, single.weights, strict=True):
        assert not np.isfinite(theirs).all()
        for of_replica in ours:
            np.testing.assert_array_equal(np.isfinite(of_replica), np.isfinite(theirs))


@cases(["global statistics"])
def test_synchronized_batch_norm_uses_the_statistics_of_the_global_batch(
    arrangement: str, name: str, run: Run
) -> None:
    result, single = run(arrangement, name), run("one device", name)
    assert result.facts["norm_synchronized"] is True
    for ours, (theirs,) in zip(
        result.weights[result.trainable :], single.weights[single.trainable :], strict=True
    ):
        for of_replica in ours:
            np.testing.assert_allclose(of_replica, theirs, rtol=1e-12, atol=1e-15)


@cases(["local statistics"])
def test_unsynchronized_batch_norm_uses_each_replica_s_statistics(
    arrangement: str, name: str, run: Run
) -> None:
    result, single = run(arrangement, name), run("one device", "global statistics")
    assert result.facts["norm_synchronized"] is False
    means = result.weights[result.trainable]  # the moving mean of the norm on the input
    assert all(distance(mean, means[0]) > 1e-2 for mean in means[1:])
    # For parts of equal size, the mean of the means is the mean.
    (global_mean,) = single.weights[single.trainable]
    np.testing.assert_allclose(means.mean(axis=0), global_mean, rtol=1e-12, atol=1e-15)


@cases([f"fused, {name}" for name in UNSYNCHRONIZED], ARRANGEMENTS)
def test_fused_batch_norm_agrees_with_keras_on_each_replica(
    arrangement: str, name: str, run: Run
) -> None:
    fused = run(arrangement, name)
    plain = run(arrangement, name.replace("fused", "keras"))
    ways = [
        (result.facts["batch_norm"], result.facts["norm_synchronized"]) for result in (fused, plain)
    ]
    assert ways == [("fused", False), ("keras", False)]
    tolerance = TOLERANCE[UNSYNCHRONIZED[name.removeprefix("fused, ")]["precision"]]
    for ours, theirs in zip(fused.weights, plain.weights, strict=True):
        for of_replica, expected in zip(ours, theirs, strict=True):
            assert gap(of_replica, expected) <= tolerance
    assert fused.facts["loss"] == pytest.approx(plain.facts["loss"], rel=tolerance)


@cases([f"look, {pipeline}" for pipeline in PIPELINES], ARRANGEMENTS)
def test_an_epoch_has_each_example_once_and_leaves_out_different_ones(
    arrangement: str, name: str, run: Run
) -> None:
    examples = run(arrangement, name).examples
    left_out = []
    for epoch in examples:
        assert len(set(epoch.flat)) == epoch.size == 96
        left_out.append(set(range(103)) - set(epoch.flat))
    assert left_out[0] != left_out[1]


@cases([f"look, {pipeline}" for pipeline in PIPELINES], ARRANGEMENTS)
def test_replicas_have_consecutive_parts_of_one_device_s_batches(
    arrangement: str, name: str, run: Run
) -> None:
    examples = run(arrangement, name).examples
    # Files are read in a different order.
    single = run("one device", name if name == "look, tfrecord" else "look, device").examples
    np.testing.assert_array_equal(examples.reshape(single.shape), single)


@cases([*AGREE, "local statistics", "fused, float32", "no communication"], ARRANGEMENTS)
def test_the_reported_bytes_are_those_that_tensorflow_reduces(
    arrangement: str, name: str, run: Run
) -> None:
    facts = run(arrangement, name).facts
    assert facts["reduced_bytes"] == facts["bytes_seen_reduced"]
    assert (facts["reduced_bytes"] > 0) == (
        arrangement != "one device" and name != "no communication"
    )


@pytest.mark.parametrize(
    ("arrangement", "strategy", "reduction"),
    [
        ("one device", "_DefaultDistributionStrategy", None),
        ("mirrored 2", "MirroredStrategy", "CollectiveAllReduce RING"),
        ("mirrored 2, to one", "MirroredStrategy", "ReductionToOneDevice"),
        ("mirrored 4, in a hierarchy", "MirroredStrategy", "HierarchicalCopyAllReduce"),
        ("two workers", "CollectiveAllReduceStrategy", "CollectiveAllReduce RING"),
        ("two workers of two", "CollectiveAllReduceStrategy", "CollectiveAllReduce RING"),
    ],
)
def test_the_all_reduce_is_recorded(
    arrangement: str, strategy: str, reduction: str | None, run: Run
) -> None:
    facts = run(arrangement, "plain").facts
    assert (facts["tensorflow_strategy"], facts["reduction"]) == (strategy, reduction)


@cases(["compiled"], ARRANGEMENTS)
def test_the_compiled_part_of_a_step_is_recorded(arrangement: str, name: str, run: Run) -> None:
    facts = run(arrangement, name).facts
    assert facts["compiled"] == ("step" if arrangement == "one device" else "passes")


@cases(["no communication"])
def test_without_communication_replicas_diverge_from_each_other(
    arrangement: str, name: str, run: Run
) -> None:
    result = run(arrangement, name)
    assert (result.facts["reduction"], result.facts["norm_synchronized"]) == (None, False)
    for of_replicas in result.weights[: result.trainable : 4]:
        assert distance(of_replicas[1], of_replicas[0]) > 1e-4


def test_workers_without_communication_have_different_norms(run: Run) -> None:
    result, variant = (
        run("two workers", "no communication, float32"),
        variant_of(**{**TRAIN, **TEN_STEPS}),
    )
    of_workers = zip(*result.weights[: result.trainable], strict=True)
    first, second = (np.sqrt(sum(np.square(w, dtype=float).sum() for w in ws)) for ws in of_workers)
    assert not same_weights([first, second], variant)


@cases(["late", "late, no communication"])
def test_an_epoch_starts_when_the_last_worker_arrives(
    arrangement: str, name: str, run: Run
) -> None:
    facts = run(arrangement, name).facts
    # Ten steps take milliseconds.
    assert facts["epoch_s"] < LATE_S / 2 < facts["call_s"]


@pytest.mark.parametrize(
    ("arrangement", "name", "reason"),
    [
        ("mirrored 2", "all compiled", "Trying to access resource"),
        ("mirrored 2", "sum inside", "`merge_call` called while defining"),
        ("two workers", "all compiled", "Only compiling NCCL/auto collective is supported"),
        ("two workers", "sum inside", "`merge_call` called while defining"),
    ],
)
def test_a_program_that_xla_cannot_compile_is_unsupported_with_a_reason(
    arrangement: str, name: str, reason: str, run: Run
) -> None:
    facts = run(arrangement, name).facts
    assert facts["status"] == "unsupported"
    assert facts["reason"].startswith(reason)
    assert "\n" not in facts["reason"]


@cases(["faulty", "faulty, compiled"])
def test_an_error_on_several_replicas_is_a_failure(arrangement: str, name: str, run: Run) -> None:
    facts = run(arrangement, name).facts
    assert facts["status"] == "failed"
    assert facts["reason"] == "RuntimeError: this feed is at fault"
