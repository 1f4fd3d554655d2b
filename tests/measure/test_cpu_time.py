"""CPU time of a process, and CPU time that others use on its cores."""

import os
import subprocess
import sys
import time

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.cpu_time import TurnMeter, cpu_time, measure_other_load, taken_share

seconds = st.floats(0, 1e6)
counts = st.integers(1, 1024)


@given(seconds, seconds, st.floats(1e-3, 1e6), counts, counts)
def test_a_share_is_a_fraction_and_grows_with_the_time_of_others(
    other_s: float, steal_s: float, wall_s: float, cores: int, allowed_cores: int
) -> None:
    share = taken_share(other_s, steal_s, wall_s, cores, allowed_cores)
    assert 0 <= share <= 1
    assert share <= taken_share(other_s + 1, steal_s, wall_s, cores, allowed_cores)
    assert share <= taken_share(other_s, steal_s + 1, wall_s, cores, allowed_cores)


@pytest.mark.parametrize(
    ("other_s", "cores", "allowed_cores", "share"),
    [
        (0.0, 2, 2, 0.0),
        (5.0, 2, 2, 0.25),  # of 20 s
        (20.0, 2, 2, 1.0),
        (60.0, 2, 8, 0.0),  # a trial on each of four GPUs, with a quarter of the cores
        (70.0, 2, 8, 0.5),
    ],
)
def test_others_use_spare_cores_before_those_of_a_trial(
    other_s: float, cores: int, allowed_cores: int, share: float
) -> None:
    assert taken_share(other_s, 0.0, 10.0, cores, allowed_cores) == pytest.approx(share)


def test_of_no_time_nothing_is_taken() -> None:
    assert taken_share(1.0, 1.0, 0.0, 2, 2) == 0.0


def test_the_work_of_a_neighbour_is_counted_apart() -> None:
    loop = "import time\nwhile time.process_time() < 1: pass"
    with cpu_time(cores=psutil.cpu_count() or 1) as read_cpu_time:
        subprocess.run([sys.executable, "-c", loop], check=True)
        _compute(0.5)
    times = read_cpu_time()
    assert times.cpu_s >= 0.5
    assert times.other_cpu_s is not None and times.other_cpu_s >= 0.9  # ticks of 10 ms
    assert times.taken_share is not None and times.taken_share > 0
    assert times == read_cpu_time()  # time after the span does not count


CONFINED = """
import os, subprocess, sys
from bench.measure.cpu_time import measure_other_load, cpu_time

core = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {core})
neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
try:
    with cpu_time(cores=1) as read_cpu_time:
        load = measure_other_load(interval_s=2.0)
finally:
    neighbour.kill()
print(read_cpu_time().taken_share > 0, load.allowed_cores, load.cores > 0)
"""


def test_only_cores_that_a_process_may_use_count_as_spare() -> None:
    done = subprocess.run([sys.executable, "-c", CONFINED], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "1", "True"], done.stderr


def test_the_busiest_process_is_named() -> None:
    loop = "while True: pass"
    with subprocess.Popen([sys.executable, "-c", loop]) as neighbour:
        try:
            load = measure_other_load(interval_s=1.0, most=1_000)
        finally:
            neighbour.kill()
    assert load.cores > 0
    assert neighbour.pid in [pid for _, pid, _ in load.processes]
    assert os.getpid() not in [pid for _, pid, _ in load.processes]


def test_a_turn_meter_adds_up_its_spans_and_leaves_out_what_lies_between() -> None:
    meter = TurnMeter(cores=psutil.cpu_count() or 1)
    meter.end()  # nothing has begun
    for _ in range(2):
        meter.begin()
        _compute(0.3)
        meter.end()
    before_s = time.process_time()
    _compute(0.5)
    between_s = time.process_time() - before_s
    times = meter.total(cpu_s=0.2)
    assert times.cpu_s == pytest.approx(0.2)
    assert times.other_cpu_s is not None
    assert times.other_cpu_s >= 0.3  # two spans of 0.3 s, less 0.2 s, in ticks of 10 ms
    longer = TurnMeter(cores=1)
    longer.begin()
    longer.end()
    nothing = longer.total(cpu_s=0.0).other_cpu_s
    assert nothing is None or nothing < between_s


def _compute(cpu_s: float) -> None:
    end_s = time.process_time() + cpu_s
    while time.process_time() < end_s:
        pass
