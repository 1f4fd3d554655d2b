"""The counting CUDA stack counts work, accounts for memory and shows the right devices."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cuda.conftest import Evaluate, OccupyGpu
from tests.cuda.counts import Between, read_counts

GIB = 2**30
CARD_0, CARD_1, CARD_2 = (f"GPU-{i}000aaaa-0000-0000-0000-000000000000" for i in range(3))
INSTANCE = "MIG-1000bbbb-0000-0000-0000-000000000000"
OTHER_INSTANCE = "MIG-1001bbbb-0000-0000-0000-000000000000"

COPIES = """
from tests.cuda.counts import reset
from tests.cuda.driver import Driver
driver = Driver()
places = []
for device in (0, 1):
    driver.use(device)
    places.append(driver.allocate(1_000_000))
driver.to_device(places[0], 5)
reset()
driver.to_device(places[0], 10)
driver.to_device(places[1] + 7, 200_000)
driver.to_host(places[1], 30)
driver.between(places[1], places[0], 40)
driver.synchronize()
answer = None
"""

MEMORY_IN_USE = """
import pynvml
pynvml.nvmlInit()
card = pynvml.nvmlDeviceGetHandleByUUID({uuid!r})
answer = [
    pynvml.nvmlDeviceGetMemoryInfo(card, pynvml.nvmlMemory_v2).used,
    [[p.pid, p.usedGpuMemory] for p in pynvml.nvmlDeviceGetComputeRunningProcesses(card)],
]
"""

VISIBLE = """
from tests.cuda.driver import Driver, DriverError
try:
    driver = Driver()
    answer = driver.uuids()
except DriverError as error:
    answer = error.code
"""


def test_copies_are_counted_by_direction_and_device_since_the_last_reset(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    evaluate(COPIES)
    (counts,) = read_counts(tmp_path / "counts")
    first, second = counts.devices
    assert (first.h2d_copies, first.h2d_bytes, first.h2d_big_copies) == (1, 10, 0)
    assert (second.h2d_copies, second.h2d_bytes, second.h2d_big_bytes) == (1, 200_000, 200_000)
    assert (first.d2h_copies, second.d2h_copies, second.d2h_bytes) == (0, 1, 30)
    assert counts.between == (Between(source=0, target=1, copies=1, bytes=40),)
    assert (counts.into(0), counts.into(1)) == (10, 200_040)
    assert (first.stream_syncs, second.stream_syncs) == (0, 1)


def test_memory_and_its_peak_are_counted(evaluate: Evaluate, tmp_path: Path) -> None:
    evaluate(
        "from tests.cuda.driver import Driver; driver = Driver(); driver.use(0)\n"
        "driver.free(driver.allocate(3000)); driver.allocate(1000)\nanswer = None"
    )
    (device, _) = read_counts(tmp_path / "counts")[0].devices
    assert (device.memory_bytes, device.peak_memory_bytes) == (1000, 3000)


def test_counts_of_a_killed_process_can_be_read(occupied_gpu: OccupyGpu, tmp_path: Path) -> None:
    with occupied_gpu(device=1, size=2 * GIB) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (counts,) = read_counts(tmp_path / "counts")
    assert counts.pid == process.pid
    assert counts.devices[1].memory_bytes == 2 * GIB


def test_nvml_lists_the_memory_of_each_process_on_its_gpu_until_it_ends(
    evaluate: Evaluate, occupied_gpu: OccupyGpu
) -> None:
    # In bus order, device 1 is the driver's GPU 0.
    with occupied_gpu(device=1, size=2 * GIB) as first, occupied_gpu(device=1, size=GIB) as second:
        used, processes = evaluate(MEMORY_IN_USE.format(uuid=CARD_0))
        assert used == 3 * GIB
        assert sorted(processes) == sorted([[first.pid, 2 * GIB], [second.pid, GIB]])
        assert evaluate(MEMORY_IN_USE.format(uuid=CARD_1)) == [0, []]
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert evaluate(MEMORY_IN_USE.format(uuid=CARD_0)) == [GIB, [[second.pid, GIB]]]


def test_the_memory_of_an_ended_process_may_be_released_late(
    evaluate: Evaluate, occupied_gpu: OccupyGpu
) -> None:
    with occupied_gpu(device=1, size=2 * GIB) as process:
        process.send_signal(signal.SIGKILL)
    late = {"FAKE_NVML_RELEASE_AFTER": "2"}
    answers = [evaluate(MEMORY_IN_USE.format(uuid=CARD_0), **late) for _ in range(3)]
    assert answers == [[2 * GIB, []], [2 * GIB, []], [0, []]]


def test_processes_share_a_gpu_within_its_memory(
    evaluate: Evaluate, occupied_gpu: OccupyGpu
) -> None:
    code = """
from tests.cuda.driver import Driver, DriverError
driver = Driver()
driver.use(1)
answer = [driver.free_bytes()]
try:
    driver.allocate(4 * 2**30)
except DriverError as error:
    answer.append(error.code)
"""
    reserve = GIB // 2
    assert evaluate(code) == [8 * GIB - reserve]
    with occupied_gpu(device=1, size=5 * GIB):
        assert evaluate(code) == [3 * GIB - reserve, 2]


def test_a_process_counts_the_memory_in_use_when_it_starts(
    evaluate: Evaluate, occupied_gpu: OccupyGpu, tmp_path: Path
) -> None:
    code = "from tests.cuda.driver import Driver; Driver().use(0); answer = None"
    with occupied_gpu(device=0, size=GIB) as process:
        evaluate(code)
    (late,) = (c for c in read_counts(tmp_path / "counts") if c.pid != process.pid)
    assert [device.memory_found_bytes for device in late.devices] == [GIB, 0]


@pytest.mark.parametrize(
    ("visible", "cards"),
    [
        (None, [CARD_2, CARD_1, CARD_0]),
        ("0", [CARD_2]),
        ("2,0", [CARD_0, CARD_2]),
        (CARD_1, [CARD_1]),
        ("GPU-1000,0", [CARD_1, CARD_2]),
        ("1,7,0", [CARD_1]),  # entries after one that names no device are ignored
        ("0,-1,1", [CARD_2]),
        ("0,0", 100),
        ("-1", 100),
        ("", 100),
        ("GPU-9", 100),
        ("GPU-", 100),
    ],
)
def test_visible_devices_are_numbers_in_bus_order_or_uuids(
    evaluate: Evaluate, visible: str | None, cards: list[str] | int
) -> None:
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    uuids = evaluate(VISIBLE, gpus=3, **variables)
    expected = [c.removeprefix("GPU-") for c in cards] if isinstance(cards, list) else cards
    assert uuids == expected


def test_the_driver_s_order_of_devices_differs_from_the_bus_order(evaluate: Evaluate) -> None:
    uuids = evaluate(VISIBLE, gpus=2, CUDA_DEVICE_ORDER="FASTEST_FIRST")
    assert uuids == [c.removeprefix("GPU-") for c in (CARD_0, CARD_1)]


def test_cuda_and_nvml_agree_on_uuids_and_bus_ids(evaluate: Evaluate) -> None:
    code = """
from bench.measure.gpu import gpus
from tests.cuda.driver import Driver
driver = Driver()
buses = [driver.bus_id(device).lower() for device in range(driver.count())]
answer = [list(zip(buses, driver.uuids())), [(c.pci_bus_id, c.uuid[4:]) for c in gpus()]]
"""
    cuda, nvml = evaluate(code, gpus=8)
    assert cuda == nvml
    assert len(cuda) == 8


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, INSTANCE),  # an instance hides full GPUs
        ("1", INSTANCE),  # in bus order: the driver's GPU 1, which is partitioned
        (OTHER_INSTANCE, OTHER_INSTANCE),
        (f"{OTHER_INSTANCE},{INSTANCE}", OTHER_INSTANCE),
    ],
)
def test_a_process_sees_one_instance_of_a_partitioned_gpu(
    evaluate: Evaluate, visible: str | None, expected: str
) -> None:
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    uuids = evaluate(VISIBLE, gpus=3, FAKE_MIG="1", **variables)
    assert uuids == [expected.removeprefix("MIG-")]


def test_the_memory_of_an_instance_counts_for_it_and_its_gpu(evaluate: Evaluate) -> None:
    code = f"""
import os
os.environ["CUDA_VISIBLE_DEVICES"] = {INSTANCE!r}
from bench.measure.gpu import used_memory_bytes
from tests.cuda.driver import Driver
driver = Driver()
driver.use(0)
driver.allocate({GIB})
answer = [used_memory_bytes(uuid) for uuid in ({INSTANCE!r}, {OTHER_INSTANCE!r}, {CARD_1!r})]
"""
    assert evaluate(code, gpus=2, FAKE_MIG="0,1") == [GIB, 0, GIB]


STATE = """
import pynvml
pynvml.nvmlInit()
state = []
for index in (0, 1):
    card = pynvml.nvmlDeviceGetHandleByIndex(index)
    state.append([
        pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_SM),
        pynvml.nvmlDeviceGetClockInfo(card, pynvml.NVML_CLOCK_MEM),
        pynvml.nvmlDeviceGetPowerManagementLimit(card),
        pynvml.nvmlDeviceGetCurrentClocksEventReasons(card),
        pynvml.nvmlDeviceGetNvLinkState(card, 3),
    ])
"""


@pytest.mark.parametrize("in_a_file", [False, True])
def test_rules_set_nvml_s_answers_for_all_gpus_or_one(
    evaluate: Evaluate, tmp_path: Path, in_a_file: bool
) -> None:
    rules = (
        "nvmlDeviceGetClockInfo.1@1=210,nvmlDeviceGetPowerManagementLimit=350000,"
        "nvmlDeviceGetCurrentClocksEventReasons@0=0x40,nvmlDeviceGetNvLinkState.3@1=0"
    )
    path = tmp_path / "rules"
    path.write_text(rules)
    state = evaluate(f"{STATE}answer = state", FAKE_NVML_ANSWER=f"@{path}" if in_a_file else rules)
    assert state == [[1980, 2619, 350000, 0x40, 1], [210, 2619, 350000, 0, 0]]


def test_a_gpu_may_vanish_while_a_process_uses_it(evaluate: Evaluate, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("")
    code = f"""{STATE}
open({str(rules)!r}, "w").write("*@1=15")
answer = []
for index in (0, 1):
    try:
        pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index))
        answer.append(0)
    except pynvml.NVMLError as error:
        answer.append(error.value)
"""
    assert evaluate(code, FAKE_NVML_FAIL=f"@{rules}") == [0, 15]


def test_energy_is_power_times_time(evaluate: Evaluate) -> None:
    code = """
import time, pynvml
pynvml.nvmlInit()
card = pynvml.nvmlDeviceGetHandleByIndex(0)
before, first = time.monotonic(), pynvml.nvmlDeviceGetTotalEnergyConsumption(card)
time.sleep(0.05)
second, after = pynvml.nvmlDeviceGetTotalEnergyConsumption(card), time.monotonic()
answer = [second - first, after - before]
"""
    energy_mj, elapsed_s = evaluate(code, FAKE_NVML_ANSWER="nvmlDeviceGetPowerUsage=200000")
    assert energy_mj + 1 >= 0.05 * 200_000
    assert energy_mj <= elapsed_s * 200_000 + 1


def test_variables_describe_the_gpu(evaluate: Evaluate) -> None:
    code = """
from bench.measure.gpu import driver, gpus
answer = [driver().cuda, [[c.name, c.compute_capability, c.memory_bytes] for c in gpus()]]
"""
    variables: dict[str, Any] = {
        "FAKE_GPU_NAME": "Fake L4",
        "FAKE_GPU_CAPABILITY": "8.9",
        "FAKE_GPU_MEMORY_BYTES": str(24 * GIB),
        "FAKE_CUDA_VERSION": "12.4",
    }
    assert evaluate(code, gpus=1, **variables) == ["12.4", [["Fake L4", "8.9", 24 * GIB]]]
