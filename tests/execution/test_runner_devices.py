"""A run's variants follow from the devices that it begins on, and stay what they are."""

from pathlib import Path
from typing import Any

import pytest

from bench.execution.executor import Event, Forecast
from bench.execution.null_observer import NullObserver
from bench.execution.runner import open_folder
from bench.execution.simulated import SimulatedExecutor, StatusChooser
from bench.records.run_folder import RunFolder
from bench.spec.device import DeviceType
from bench.spec.plan import Plan, make_plan
from bench.spec.suite import Suite, parse_suite
from tests.support.sample_runs import UnusedExecutor, resume_run, run
from tests.support.sample_suites import TINY, suite_of

CONVNET: dict[str, Any] = {"workload": "convnet", "filters": [2]}
SUITE = suite_of(TINY, **CONVNET)
LONGER = suite_of({**TINY, "blocks": 3}, **CONVNET)


class OnGpus(SimulatedExecutor):
    """Simulated trials on GPUs."""

    uses_gpus = True


class ExpectationObserver(NullObserver):
    """An observer that keeps what is expected."""

    def __init__(self) -> None:
        self.expected: list[Forecast] = []

    def event(self, event: Event) -> None:
        if isinstance(event, Forecast):
            self.expected.append(event)


def jits(out: Path) -> set[str]:
    return {record.trial.variant.jit for record in RunFolder.open(out).records()}


def only_in_block(number: int) -> StatusChooser:
    """Trials of that block complete, all others fail."""
    return lambda trial, _attempt: "completed" if trial.block == number else "failed"


@pytest.mark.parametrize(
    ("executor", "device", "jit"), [(SimulatedExecutor, "cpu", "none"), (OnGpus, "gpu", "epoch")]
)
def test_defaults_are_chosen_for_the_devices_that_the_executor_has(
    out: Path, executor: type[SimulatedExecutor], device: DeviceType, jit: str
) -> None:
    run(out, SUITE, executor=executor())
    info = RunFolder.open(out).info()
    assert info.defaults_for == device
    assert info.trial_ids == tuple(t.trial_id for t in make_plan(SUITE, device).trials)
    assert jits(out) == {jit}


@pytest.mark.parametrize(("executor", "times"), [(SimulatedExecutor, 1), (OnGpus, 2)])
def test_a_run_is_planned_once_unless_its_devices_are_others(
    out: Path, monkeypatch: pytest.MonkeyPatch, executor: type[SimulatedExecutor], times: int
) -> None:
    devices = list[DeviceType]()

    def count_and_plan(suite: Suite, device: DeviceType = "cpu") -> Plan:
        devices.append(device)
        return make_plan(suite, device)

    for module in ("bench.spec.plan", "bench.execution.runner"):
        monkeypatch.setattr(f"{module}.make_plan", count_and_plan)
    run(out, SUITE, executor=executor())
    assert devices == ["cpu", "gpu"][:times]


def test_a_run_keeps_its_variants_on_another_kind_of_device(out: Path) -> None:
    run(out, SUITE, executor=OnGpus())
    assert len(resume_run(out, LONGER, executor=SimulatedExecutor())) == 2
    assert RunFolder.open(out).info().defaults_for == "gpu"
    assert jits(out) == {"epoch"}
    assert resume_run(out, LONGER, executor=UnusedExecutor()) == []


def test_a_run_older_than_default_jit_keeps_its_compiled_variants(out: Path) -> None:
    run(out, SUITE, executor=OnGpus(status_of=only_in_block(0)), retries=0)
    folder = RunFolder.open(out)
    folder.write_info(folder.info().model_copy(update={"defaults_for": None}))
    run(out, SUITE, resume=True)
    assert {record.status for record in folder.records()} == {"completed"}
    assert jits(out) == {"epoch"}


def test_a_run_that_never_began_is_planned_for_its_actual_devices(out: Path) -> None:
    folder, _ = open_folder(out, SUITE, resume=False)
    assert (folder.info().defaults_for, folder.info().trial_ids) == (None, ())
    run(out, SUITE, resume=True)
    assert jits(out) == {"none"}


def test_a_run_says_which_variants_leave_jit_open(out: Path) -> None:
    suite = parse_suite({**TINY, "matrix": {}, "compare": [], "variants": [{}, {"jit": "step"}]})
    run(out, suite, observer=(told := ExpectationObserver()))
    left_open, _asked = make_plan(suite).cells
    assert [expected.open_jit for expected in told.expected] == [{left_open.id}]
