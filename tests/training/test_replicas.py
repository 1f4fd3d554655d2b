"""Training computes the same thing on 1, 2 and 4 replicas of a process and on 2 workers of 1 or 2.

In float64 all weights agree to rounding after 128 steps; in other precisions to their own
tolerance after ten, since rounding grows from step to step. All with each kind of clipping
and with batch norm over all replicas. Every arrangement trains for
real, in fresh processes: mirrored on logical CPUs, workers with each other over loopback.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bench.execution.ray_backend.worker_records import same_weights
from tests.support.replica_jobs import LATE_S, TRAIN, Found, Job, run_jobs
from tests.support.training_setup import variant_of

# An arrangement traces all of its jobs, for which a busy machine takes its time.
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
"""Those with an ``all_reduce`` of their own train one job alone, but for workers."""
SEVERAL = tuple(ARRANGEMENTS)[1:]

LONG: dict[str, Any] = {"precision": "float64", "norm": "bn_post", "optimizer": "momentum"}
TEN_STEPS: dict[str, Any] = {
    "hidden": [8],
    "examples": 320,
    "global_batch_size": 32,
    "norm": "bn_post",
    # In bfloat16 ten times the rate, or batch norm over 8 examples, ends 2e-3 apart.
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
"""Settings, and how far each tensor may be from one device's: ``distance`` in float64, in
other precisions ``gap``, since there a bias next to 0 is mostly rounding."""

OVERFLOWS: dict[str, Any] = {"precision": "mixed_float16", "initializer": "ones", "examples": 512}
"""The white image alone overflows: its units of 784 meet a gradient scaled by 2**15."""

ONE_STEP: dict[str, Any] = {"precision": "float64", "norm": "bn_post", "examples": 8}

BREAKS: dict[str, Any] = {
    "activation": "exponential",
    "initializer": "ones",
    "hidden": [4],
    "examples": 16,
}
"""The exponential of 784 white pixels is no number of float32, that of black ones is 1."""

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
"""Settings with which batch norm is computed in both ways, on each replica's own part."""

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
    Job("all statistics", {**ONE_STEP, "synchronized": True}),
    Job("own statistics", {**ONE_STEP, "synchronized": False}),
    Job("silent", {**LONG, "examples": 80, "communication": "none"}),
    Job("silent, float32", {**TEN_STEPS, "learning_rate": 1e-3, "communication": "none"}),
    Job("late", FEW_STEPS, does="late"),
    Job("late, silent", {**FEW_STEPS, "communication": "none"}, does="late"),
    *(Job(f"look, {p}", {"examples": 103, "pipeline": p}, does="look") for p in PIPELINES),
    *(Job(f"layers, {precision}", settings, "examine") for precision, settings in LAYERS.items()),
    Job("all compiled", {"jit": "epoch"}, does="refuse"),
    Job("sum inside", {"jit": "step", "norm": "bn_post"}, does="refuse"),
    Job("faulty", FEW_STEPS, does="fault"),
    Job("faulty, compiled", {**FEW_STEPS, "jit": "step"}, does="fault"),
]
NOT_FOR_FOUR = ("own statistics", "silent", "silent, float32", "look, tfdata", "look, tfrecord")
"""What is not tried on four replicas: each traces every job."""

OF_TWO = (
    *(
        "plain",
        "timed twice",
        "global_norm",
        "tfdata",
        "tfrecord",
        "compiled",
        "all statistics",
        "silent",
    ),
    *(f"look, {p}" for p in PIPELINES),
)
"""What is tried on workers of two devices each, as where they have GPUs."""


def _is_tried(arrangement: str, job: Job) -> bool:
    if arrangement == "two workers of two":
        return job.name in OF_TWO
    if "all_reduce" in ARRANGEMENTS[arrangement] and arrangement != "two workers":
        return job.name == "plain"
    if arrangement == "one device":
        return job.does in ("train", "look", "examine")
    if arrangement == "mirrored 4":
        return job.does in ("train", "look") and job.name not in NOT_FOR_FOUR
    return job.does != "late" or arrangement == "two workers"


CASES = {
    (arrangement, job.name)
    for arrangement in ARRANGEMENTS
    for job in JOBS
    if _is_tried(arrangement, job)
}


def cases(names: Iterable[str], arrangements: Iterable[str] = SEVERAL) -> pytest.MarkDecorator:
    """Parameters ``arrangement`` and ``name`` for all of these that are tried."""
    pairs = [(a, n) for n in names for a in arrangements if (a, n) in CASES]
    return pytest.mark.parametrize(("arrangement", "name"), pairs)


Run = Callable[[str, str], Found]


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """What a job ended with on an arrangement; all jobs of one are done at once.

    Two arrangements at a time, of those that some test of this session asks for: to trace a
    program keeps one core.
    """
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = {"one device", "two workers", *(call.get("arrangement") for call in calls)}
    folder = tmp_path_factory.mktemp("replicas")

    def jobs_of(arrangement: str) -> dict[str, Found]:
        jobs = [job for job in JOBS if (arrangement, job.name) in CASES]
        return run_jobs(ARRANGEMENTS[arrangement], jobs, folder / arrangement)

    with ThreadPoolExecutor(2) as pool:
        done = {name: pool.submit(jobs_of, name) for name in ARRANGEMENTS if name in asked}
        yield lambda arrangement, name: done[arrangement].result()[name]


def distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of two tensors, relative to the norm of the second."""
    size = max(float(np.linalg.norm(theirs)), 1e-3)
    return float(np.linalg.norm(ours - theirs)) / size


def gap(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of two weights of a tensor, relative to its largest, or to 1."""
    return float(np.abs(ours - theirs).max()) / max(1.0, float(np.abs(theirs).max()))


@cases(AGREE)
def test_any_number_of_replicas_ends_with_one_devices_weights(
    arrangement: str, name: str, run: Run
) -> None:
    settings, tolerance = AGREE[name]
    apart = distance if settings["precision"] == "float64" else gap
    several, alone = run(arrangement, name), run("one device", name)
    assert len(several.weights) == len(alone.weights) > 0
    for ours, (theirs,) in zip(several.weights, alone.weights, strict=True):
        for of_replica in ours:
            assert apart(of_replica, theirs) <= tolerance
    assert several.facts["loss"] == pytest.approx(alone.facts["loss"], rel=tolerance)
    assert several.facts["accuracy"] == pytest.approx(alone.facts["accuracy"], abs=10 * tolerance)
    for counted in ("clipped_steps", "skipped_steps"):
        assert several.facts[counted] == alone.facts[counted]


@cases(f"layers, {precision}" for precision in LAYERS)
def test_layers_look_alike_on_any_number_of_replicas_and_none_moves(
    arrangement: str, name: str, run: Run
) -> None:
    ours, theirs = (run(a, name).facts for a in (arrangement, "one device"))
    assert not ours["moved"]
    assert not theirs["moved"]
    assert ours["health"]["kind"] == theirs["health"]["kind"]
    near = {"layers, float64": 2e-5, "layers, mixed_float16": 0.02}[name]
    for key in theirs["health"].keys() - {"kind"}:
        found, expected = (np.asarray(of["health"][key], float) for of in (ours, theirs))
        np.testing.assert_allclose(found, expected, near, near / 10, err_msg=key)


@cases(AGREE)
def test_replicas_hold_the_same_trained_weights_to_the_last_bit(
    arrangement: str, name: str, run: Run
) -> None:
    found, made = run(arrangement, name), ARRANGEMENTS[arrangement]
    for of_replicas in found.weights[: found.trainable]:
        assert len(of_replicas) == made.get("workers", 1) * made.get("replicas", 1)
        for of_replica in of_replicas[1:]:
            np.testing.assert_array_equal(of_replica, of_replicas[0])


@cases(["timed twice"])
def test_an_epoch_timed_twice_after_a_warm_up_is_trained_once(
    arrangement: str, name: str, run: Run
) -> None:
    found, plain = run(arrangement, name), run(arrangement, "plain")
    assert found.facts["repeats"] == 2
    for ours, theirs in zip(found.weights, plain.weights, strict=True):
        assert distance(ours, theirs) < 1e-12


@pytest.mark.parametrize("kind", ["value", "norm", "global_norm"])
def test_clipping_acts_in_some_steps_of_these_runs_and_changes_them(kind: str, run: Run) -> None:
    clipped, plain = run("one device", kind), run("one device", "plain")
    assert 10 < clipped.facts["clipped_steps"] <= 128
    assert distance(clipped.weights[0], plain.weights[0]) > 1e-3


@cases(["overflows", "breaks, skipped"], ARRANGEMENTS)
def test_an_overflow_on_one_replica_alone_skips_that_step_on_all(
    arrangement: str, name: str, run: Run
) -> None:
    found, alone = run(arrangement, name), run("one device", name)
    steps = {"overflows": 64, "breaks, skipped": 2}[name]
    assert (found.facts["steps"], found.facts["skipped_steps"]) == (steps, 1)
    assert np.isfinite(found.facts["loss"])
    for ours, (theirs,) in zip(found.weights, alone.weights, strict=True):
        for of_replica in ours:
            assert np.isfinite(of_replica).all()
            assert gap(of_replica, theirs) <= 1e-6


@cases(["breaks, float32", "breaks, mixed_bfloat16"], ARRANGEMENTS)
def test_where_no_step_is_skipped_no_replica_diverges_alone(
    arrangement: str, name: str, run: Run
) -> None:
    found, alone = run(arrangement, name), run("one device", name)
    assert (found.facts["steps"], found.facts["skipped_steps"]) == (2, 0)
    assert not np.isfinite(found.facts["loss"])
    for ours, (theirs,) in zip(found.weights, alone.weights, strict=True):
        assert not np.isfinite(theirs).all()
        for of_replica in ours:
            np.testing.assert_array_equal(np.isfinite(of_replica), np.isfinite(theirs))


@cases(["all statistics"])
def test_synchronized_batch_norm_has_the_statistics_of_the_global_batch(
    arrangement: str, name: str, run: Run
) -> None:
    found, alone = run(arrangement, name), run("one device", name)
    assert found.facts["norm_synchronized"] is True
    for ours, (theirs,) in zip(
        found.weights[found.trainable :], alone.weights[alone.trainable :], strict=True
    ):
        for of_replica in ours:
            np.testing.assert_allclose(of_replica, theirs, rtol=1e-12, atol=1e-15)


@cases(["own statistics"])
def test_batch_norm_not_synchronized_has_each_replicas_own_and_says_so(
    arrangement: str, name: str, run: Run
) -> None:
    found, alone = run(arrangement, name), run("one device", "all statistics")
    assert found.facts["norm_synchronized"] is False
    means = found.weights[found.trainable]  # of the norm on the input
    assert all(distance(mean, means[0]) > 1e-2 for mean in means[1:])
    # Of parts of equal size the mean of the means is the mean.
    (of_all,) = alone.weights[alone.trainable]
    np.testing.assert_allclose(means.mean(axis=0), of_all, rtol=1e-12, atol=1e-15)


@cases([f"fused, {name}" for name in UNSYNCHRONIZED], ARRANGEMENTS)
def test_fused_batch_norm_ends_with_the_plain_ones_weights_and_averages_on_each_replica(
    arrangement: str, name: str, run: Run
) -> None:
    fused = run(arrangement, name)
    plain = run(arrangement, name.replace("fused", "keras"))
    ways = [
        (found.facts["batch_norm"], found.facts["norm_synchronized"]) for found in (fused, plain)
    ]
    assert ways == [("fused", False), ("keras", False)]
    tolerance = TOLERANCE[UNSYNCHRONIZED[name.removeprefix("fused, ")]["precision"]]
    for ours, theirs in zip(fused.weights, plain.weights, strict=True):
        for of_replica, expected in zip(ours, theirs, strict=True):
            assert gap(of_replica, expected) <= tolerance
    assert fused.facts["loss"] == pytest.approx(plain.facts["loss"], rel=tolerance)


@cases([f"look, {pipeline}" for pipeline in PIPELINES], ARRANGEMENTS)
def test_an_epoch_takes_each_example_once_in_all_and_leaves_others_out_each_time(
    arrangement: str, name: str, run: Run
) -> None:
    taken = run(arrangement, name).taken
    left_out = []
    for epoch in taken:
        assert len(set(epoch.flat)) == epoch.size == 96
        left_out.append(set(range(103)) - set(epoch.flat))
    assert left_out[0] != left_out[1]


@cases([f"look, {pipeline}" for pipeline in PIPELINES], ARRANGEMENTS)
def test_replicas_take_consecutive_parts_of_one_devices_batches(
    arrangement: str, name: str, run: Run
) -> None:
    taken = run(arrangement, name).taken
    # Files are read in an order of their own.
    alone = run("one device", name if name == "look, tfrecord" else "look, device").taken
    np.testing.assert_array_equal(taken.reshape(alone.shape), alone)


@cases([*AGREE, "own statistics", "fused, float32", "silent"], ARRANGEMENTS)
def test_the_bytes_reported_as_reduced_are_those_that_tensorflow_is_given(
    arrangement: str, name: str, run: Run
) -> None:
    facts = run(arrangement, name).facts
    assert facts["reduced_bytes"] == facts["bytes_seen_reduced"]
    assert (facts["reduced_bytes"] > 0) == (arrangement != "one device" and name != "silent")


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
def test_what_reduces_is_named(
    arrangement: str, strategy: str, reduction: str | None, run: Run
) -> None:
    facts = run(arrangement, "plain").facts
    assert (facts["tensorflow_strategy"], facts["reduction"]) == (strategy, reduction)


@cases(["compiled"], ARRANGEMENTS)
def test_what_xla_compiles_of_a_step_is_told(arrangement: str, name: str, run: Run) -> None:
    facts = run(arrangement, name).facts
    assert facts["compiled"] == ("step" if arrangement == "one device" else "passes")


@cases(["silent"])
def test_without_communication_replicas_drift_apart(arrangement: str, name: str, run: Run) -> None:
    found = run(arrangement, name)
    assert (found.facts["reduction"], found.facts["norm_synchronized"]) == (None, False)
    for of_replicas in found.weights[: found.trainable : 4]:
        assert distance(of_replicas[1], of_replicas[0]) > 1e-4


def test_the_norms_of_workers_that_exchanged_nothing_are_told_apart(run: Run) -> None:
    found, variant = run("two workers", "silent, float32"), variant_of(**{**TRAIN, **TEN_STEPS})
    of_workers = zip(*found.weights[: found.trainable], strict=True)
    first, second = (np.sqrt(sum(np.square(w, dtype=float).sum() for w in ws)) for ws in of_workers)
    assert not same_weights([first, second], variant)


@cases(["late", "late, silent"])
def test_an_epoch_begins_when_the_last_worker_is_there_with_or_without_communication(
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
def test_what_xla_cannot_compile_on_several_is_unsupported_for_tensorflows_own_reason(
    arrangement: str, name: str, reason: str, run: Run
) -> None:
    facts = run(arrangement, name).facts
    assert facts["status"] == "unsupported"
    assert facts["reason"].startswith(reason)
    assert "\n" not in facts["reason"]


@cases(["faulty", "faulty, compiled"])
def test_a_fault_on_several_replicas_is_a_failure_not_an_answer(
    arrangement: str, name: str, run: Run
) -> None:
    facts = run(arrangement, name).facts
    assert facts["status"] == "failed"
    assert facts["reason"] == "RuntimeError: this feed is at fault"
