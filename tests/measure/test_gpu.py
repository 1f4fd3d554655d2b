"""GPUs are read through the real NVML binding, over a fake library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.measure.gpu import cards_on_bus

Ask = Callable[..., Any]

CARD_0 = "GPU-0000aaaa-0000-0000-0000-000000000000"
CARD_1 = "GPU-1000aaaa-0000-0000-0000-000000000000"
INSTANCE = "MIG-1001bbbb-0000-0000-0000-000000000000"
GIB = 2**30


def test_cards_are_numbered_in_bus_order_and_not_in_the_drivers_order(ask: Ask) -> None:
    cards = ask("gpus()", cards=3)
    assert [card["index"] for card in cards] == [0, 1, 2]
    assert [card["pci_bus_id"] for card in cards] == [
        "0000:8f:00.0",
        "0000:9f:00.0",
        "0000:af:00.0",
    ]
    assert [card["uuid"] for card in cards][1:] == [CARD_1, CARD_0]


def test_a_card_is_described_in_si_units(ask: Ask) -> None:
    (card,) = ask("gpus()")
    assert card == {
        "index": 0,
        "name": "Fake H100",
        "uuid": CARD_0,
        "pci_bus_id": "0000:af:00.0",
        "memory_bytes": 80 * GIB,
        "compute_capability": "9.0",
        "mig": False,
        "instances": [],
    }


def test_without_a_driver_there_are_no_cards_and_no_error(ask: Ask) -> None:
    assert ask("[gpus(), driver()]", library=False) == [[], None]
    assert ask("[gpus(), driver()]", fail="nvmlInitWithFlags=9") == [[], None]


def test_the_driver_has_its_version_and_the_newest_cuda_it_supports(ask: Ask) -> None:
    assert ask("driver()") == {"version": "575.57.08", "cuda": "12.9"}


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("nvmlInitWithFlags=18", "different versions (NVML error 18): reboot"),
        ("nvmlInitWithFlags=4", "no permission (NVML error 4): give this user access"),
        ("nvmlDeviceGetHandleByIndex_v2@1=15", "fallen off the bus (NVML error 15): reset it"),
        ("nvmlDeviceGetName=999", "NVML error 999): see the output of nvidia-smi"),
    ],
)
def test_a_broken_driver_or_card_is_an_error_with_a_remedy(ask: Ask, fail: str, words: str) -> None:
    answer = ask("gpus()", cards=2, fail=fail)
    assert words in answer["error"]
    assert answer["exit_code"] == 2


def test_a_card_that_a_scheduler_assigned_to_others_is_not_listed(ask: Ask) -> None:
    cards = ask("gpus()", cards=2, fail="nvmlDeviceGetHandleByIndex_v2@0=4")
    assert [(card["index"], card["uuid"]) for card in cards] == [(0, CARD_1)]


def test_a_value_that_a_card_does_not_support_is_none(ask: Ask) -> None:
    (card,) = ask("gpus()", fail="nvmlDeviceGetCudaComputeCapability=3")
    assert card["compute_capability"] is None


def test_a_card_without_mig_is_not_split(ask: Ask) -> None:
    (card,) = ask("gpus()", fail="nvmlDeviceGetMigMode=3")
    assert card["mig"] is False


def test_memory_is_none_only_if_both_versions_of_the_query_fail(ask: Ask) -> None:
    version_2 = "nvmlDeviceGetMemoryInfo_v2=25"
    assert ask("gpus()", fail=version_2)[0]["memory_bytes"] == 80 * GIB
    (card,) = ask("gpus()", fail=f"{version_2},nvmlDeviceGetMemoryInfo=3")
    assert card["memory_bytes"] is None


def test_a_split_card_lists_its_instances_and_skips_empty_slots(ask: Ask) -> None:
    split, whole = ask("gpus()", cards=2, mig=1)
    assert (split["mig"], whole["mig"]) == (True, False)
    assert [instance["memory_bytes"] for instance in split["instances"]] == [10 * GIB] * 2
    assert split["instances"][1]["uuid"] == INSTANCE
    assert split["instances"][1]["pci_bus_id"] == split["pci_bus_id"]


@pytest.mark.parametrize(
    ("token", "uuid"),
    [
        ("0", "MIG-1000bbbb-0000-0000-0000-000000000000"),
        (" 1", CARD_0),
        (CARD_0, CARD_0),
        ("GPU-1000", CARD_1),
        (INSTANCE, INSTANCE),
        ("MIG-1001", INSTANCE),
    ],
)
def test_a_visible_token_names_a_card_or_an_instance(ask: Ask, token: str, uuid: str) -> None:
    assert ask(f"resolve_visible({token!r})", cards=2, mig=1)["uuid"] == uuid


@pytest.mark.parametrize(
    ("variable", "tokens"),
    [
        (None, ["0", "1", "2"]),
        ("2,0", ["2", "0"]),
        (f" 1 , {CARD_1}", ["1"]),
        ("1,-1,0", ["1"]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_a_process_sees_the_cards_before_the_first_entry_that_names_none(
    ask: Ask, variable: str | None, tokens: list[str]
) -> None:
    assert ask(f"[gpu.token for gpu in visible_gpus({variable!r})]", cards=3) == tokens


def test_instances_replace_their_split_card(ask: Ask) -> None:
    first, second = (f"MIG-100{slot}bbbb-0000-0000-0000-000000000000" for slot in (0, 1))
    tokens = "[gpu.token for gpu in visible_gpus({})]"
    assert ask(tokens.format(None), cards=3, mig=1) == ["0", first, second, "2"]
    assert ask(tokens.format("'1'"), cards=3, mig=1) == [first]
    assert ask(tokens.format(repr(INSTANCE)), cards=3, mig=1) == [second]


def test_a_variable_that_names_a_missing_gpu_is_an_error_on_a_machine_with_gpus(
    ask: Ask,
) -> None:
    assert "no GPU is named '7'" in ask("visible_gpus('0,7')", cards=2)["error"]
    assert ask("visible_gpus('0,7')", library=False) == []


def test_the_driver_is_not_queried_if_all_gpus_are_hidden(ask: Ask) -> None:
    assert ask("visible_gpus('-1')", fail="nvmlInitWithFlags=18") == []


@pytest.mark.parametrize("token", ["2", "-1", "", "GPU-", "GPU-9", "MIG-100", "NoDevFiles"])
def test_a_token_that_names_no_or_several_gpus_is_an_error_with_the_choice(
    ask: Ask, token: str
) -> None:
    answer = ask(f"resolve_visible({token!r})", cards=2, mig=1)
    assert f"0 ({CARD_1}), 1 ({CARD_0})" in answer["error"]


def test_processes_that_compute_are_listed_with_their_memory(ask: Ask) -> None:
    answer = ask(f"gpu_processes({CARD_0!r})", computing=1234)
    assert answer == [{"pid": 1234, "used_bytes": GIB}]
    assert ask(f"gpu_processes({CARD_0!r})") == []
    query = "nvmlDeviceGetComputeRunningProcesses_v3=3"
    assert ask(f"gpu_processes({CARD_0!r})", fail=query) is None


def test_used_memory_excludes_what_the_driver_reserves(ask: Ask) -> None:
    assert ask(f"used_memory_bytes({CARD_0!r})", computing=1234) == GIB
    assert ask(f"used_memory_bytes({CARD_0!r})") == 0


def test_the_environment_is_complete_except_for_a_broken_driver(ask: Ask) -> None:
    result = ask("environment()", fail="nvmlInitWithFlags=18")
    assert result["gpus"] == []
    assert "different versions" in result["gpu_error"]
    assert result["cpu"]["usable_cores"] >= 1


def test_the_environment_lists_the_cards_and_the_driver(ask: Ask) -> None:
    result = ask("environment()", cards=2)
    assert [card["uuid"] for card in result["gpus"]] == [CARD_1, CARD_0]
    assert result["driver"] == {"version": "575.57.08", "cuda": "12.9"}
    assert result["gpu_error"] is None


def test_cards_are_found_on_the_bus_without_a_driver(tmp_path: Path) -> None:
    devices = {
        "0000:3b:00.0": ("0x10de", "0x030200"),
        "0000:3b:00.1": ("0x10de", "0x040300"),  # the sound output of a card
        "0000:00:02.0": ("0x8086", "0x030000"),
    }
    for bus_id, (vendor, kind) in devices.items():
        folder = tmp_path / "sys/bus/pci/devices" / bus_id
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "class").write_text(kind + "\n")
    assert cards_on_bus(tmp_path) == ("0000:3b:00.0",)
    assert cards_on_bus(tmp_path / "elsewhere") == ()
