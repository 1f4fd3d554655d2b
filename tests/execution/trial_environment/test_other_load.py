"""What else a machine does, as a run starts."""

import socket

import pytest

from bench.execution.trial_environment import other_load
from bench.measure.cpu_time import OtherLoad


def set_load(monkeypatch: pytest.MonkeyPatch, cores: float) -> None:
    busy = OtherLoad(cores, 8, (("cc1plus", 4711, cores),) if cores else ())
    monkeypatch.setattr(other_load, "measure_other_load", lambda: busy)


@pytest.mark.parametrize(("others", "cores_of_trial"), [(0.0, 8), (0.7, 8), (6.0, 2)])
def test_work_that_uses_none_of_a_trial_s_cores_gives_no_warning(
    monkeypatch: pytest.MonkeyPatch, others: float, cores_of_trial: int
) -> None:
    set_load(monkeypatch, others)
    assert other_load.load_warning(cores_of_trial) is None


@pytest.mark.parametrize(("others", "cores_of_trial"), [(0.9, 8), (8.0, 8), (6.5, 2)])
def test_work_that_uses_a_trial_s_cores_gives_a_warning_with_its_process(
    monkeypatch: pytest.MonkeyPatch, others: float, cores_of_trial: int
) -> None:
    set_load(monkeypatch, others)
    warning = other_load.load_warning(cores_of_trial) or ""
    assert "cc1plus, pid 4711" in warning
    assert warning.count(": ") == 1
    assert "\n" not in warning


def test_a_node_s_warning_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_load, "usable_cores", lambda: 8)
    set_load(monkeypatch, 0.7)
    assert other_load.load_of_node() is None
    set_load(monkeypatch, 8.0)
    assert socket.gethostname() in (other_load.load_of_node() or "")
