"""On request, batches larger than one that was out of memory are not tried."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.execution.oom_skip import OomSkipper
from bench.execution.simulated import SimulatedExecutor
from bench.records.run_folder import RunFolder
from bench.records.trial_record import Status, TrialRecord
from bench.spec.plan import Trial, make_plan
from bench.spec.suite import Suite
from tests.support.sample_suites import SINGLE, suite_of

SWEEP: dict[str, Any] = {
    **SINGLE,
    "name": "sweep",
    "blocks": 2,
    "matrix": {"norm": ["none", "layer"], "global_batch_size": [32, 64, 128, 256]},
}


def beyond(size: int) -> Callable[[Trial, int], Status]:
    """Batches of ``size`` and more do not fit, but for those with a norm."""

    def status_of(trial: Trial, _attempt: int) -> Status:
        variant = trial.variant
        fits = variant.norm != "none" or variant.global_batch_size < size
        return "completed" if fits else "out_of_memory"

    return status_of


def records_of(out: Path, suite: Suite, **options: Any) -> list[TrialRecord]:
    bench.run(suite, out, executor=SimulatedExecutor(status_of=beyond(128)), **options)
    return list(RunFolder.open(out).records())


def test_every_trial_is_tried_by_default(tmp_path: Path) -> None:
    records = records_of(tmp_path / "run", suite_of(SWEEP))
    assert not any("not run" in (record.error or "") for record in records)


def test_larger_batches_of_a_variant_that_ran_out_of_memory_are_recorded_but_not_run(
    tmp_path: Path,
) -> None:
    suite = suite_of(SWEEP)
    records = records_of(tmp_path / "run", suite, prune_oom=True)
    assert len(records) == 16
    for record in records:
        variant = record.trial.variant
        fits = variant.norm != "none" or variant.global_batch_size < 128
        assert record.status == ("completed" if fits else "out_of_memory")
    spared = [record for record in records if "not run" in (record.error or "")]
    # Whichever of the two comes first in the first repeat, the second one is wiser.
    assert spared
    for record in spared:
        assert (record.trial.variant.norm, record.trial.variant.global_batch_size) == ("none", 256)
        assert record.wall_s == 0.0
        assert record.error == (
            "not run: the same variant ran out of memory with global_batch_size 128"
        )


def test_a_resumed_run_skips_by_its_earlier_records(tmp_path: Path) -> None:
    out, small = tmp_path / "run", suite_of(SWEEP).model_copy(update={"blocks": 1})
    records_of(out, small)
    records = records_of(out, suite_of(SWEEP), resume=True, prune_oom=True)
    spared = [record.trial for record in records if "not run" in (record.error or "")]
    assert [(t.block, t.variant.norm, t.variant.global_batch_size) for t in spared] == [
        (1, "none", 256)
    ]


@pytest.mark.parametrize("size", [32, 64])
def test_a_smaller_batch_is_tried_although_a_larger_one_failed(tmp_path: Path, size: int) -> None:
    records = records_of(tmp_path / "run", suite_of(SWEEP), prune_oom=True)
    statuses = {r.status for r in records if r.trial.variant.global_batch_size == size}
    assert statuses == {"completed"}


def test_a_deeper_variant_does_not_skip_a_shallower_one() -> None:
    pruning = OomSkipper()
    deep, shallow, same = (
        make_plan(suite_of(SINGLE, global_batch_size=size, **layers)).trials[0]
        for size, layers in (
            (32, {"hidden": [16], "depth": 20}),
            (64, {"hidden": [16]}),
            (64, {"hidden": [16] * 20}),
        )
    )
    pruning.learn(deep.variant)
    assert pruning.skip_reason(shallow) is None
    assert pruning.skip_reason(same) is not None
