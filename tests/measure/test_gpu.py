"""What is known of the GPUs, asked of the real binding over a library of the tests' own."""

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


def test_cards_are_numbered_by_their_place_on_the_bus_whatever_the_drivers_order(ask: Ask) -> None:
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


def test_the_driver_states_its_version_and_the_newest_cuda_it_runs(ask: Ask) -> None:
    assert ask("driver()") == {"version": "575.57.08", "cuda": "12.9"}


@pytest.mark.parametrize(
    ("fail", "words"),
    [
        ("nvmlInitWithFlags=18", "different versions (NVML error 18): reboot"),
        ("nvmlInitWithFlags=4", "no permission (NVML error 4): give this user access"),
        ("nvmlDeviceGetHandleByIndex_v2@1=15", "fallen off the bus (NVML error 15): reset it"),
        ("nvmlDeviceGetName=999", "NVML error 999): see what nvidia-smi says"),
    ],
)
def test_a_broken_driver_or_card_is_an_error_that_says_what_to_do(
    ask: Ask, fail: str, words: str
) -> None:
    answer = ask("gpus()", cards=2, fail=fail)
    assert words in answer["error"]
    assert answer["exit_code"] == 2


def test_a_card_that_a_scheduler_gave_to_others_is_left_out(ask: Ask) -> None:
    cards = ask("gpus()", cards=2, fail="nvmlDeviceGetHandleByIndex_v2@0=4")
    assert [(card["index"], card["uuid"]) for card in cards] == [(0, CARD_1)]


def test_what_a_card_does_not_answer_is_none(ask: Ask) -> None:
    (card,) = ask("gpus()", fail="nvmlDeviceGetCudaComputeCapability=3")
    assert card["compute_capability"] is None


def test_a_card_that_knows_no_mig_is_not_split(ask: Ask) -> None:
    (card,) = ask("gpus()", fail="nvmlDeviceGetMigMode=3")
    assert card["mig"] is False


def test_memory_is_none_only_where_neither_version_of_the_query_works(ask: Ask) -> None:
    newer = "nvmlDeviceGetMemoryInfo_v2=25"
    assert ask("gpus()", fail=newer)[0]["memory_bytes"] == 80 * GIB
    (card,) = ask("gpus()", fail=f"{newer},nvmlDeviceGetMemoryInfo=3")
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
        ("0", CARD_1),
        (" 1", CARD_0),
        (CARD_0, CARD_0),
        ("GPU-1000", CARD_1),
        (INSTANCE, INSTANCE),
        ("MIG-1001", INSTANCE),
    ],
)
def test_a_visible_token_names_a_card_or_an_instance(ask: Ask, token: str, uuid: str) -> None:
    assert ask(f"resolve_visible({token!r})", cards=2, mig=1)["uuid"] == uuid


@pytest.mark.parametrize("token", ["2", "-1", "", "GPU-", "GPU-9", "MIG-100", "NoDevFiles"])
def test_a_token_that_names_none_or_several_is_refused_with_the_choice(
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


def test_used_memory_leaves_out_what_the_driver_reserves(ask: Ask) -> None:
    assert ask(f"used_memory_bytes({CARD_0!r})", computing=1234) == GIB
    assert ask(f"used_memory_bytes({CARD_0!r})") == 0


def test_the_memory_of_a_dead_process_is_waited_for(ask: Ask) -> None:
    slept = f"(n := [], wait_until_free([{CARD_0!r}], 60, sleep=n.append), len(n))[2]"
    assert ask(slept, free_after=3) == 3
    assert ask(slept, free_after=0) == 0


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        ({"computing": 1234}, "still holds 1024 MiB (processes: 1234) after 0 s"),
        ({"free_after": 999}, "still holds 8192 MiB (processes: none to be seen) after 0 s"),
    ],
)
def test_a_gpu_that_stays_in_use_is_an_error_that_names_who_holds_it(
    ask: Ask, fake: dict[str, int], words: str
) -> None:
    answer = ask(f"wait_until_free([{CARD_0!r}], 0)", **fake)
    assert answer["error"].startswith(f"{CARD_0} {words}")


def test_only_the_gpus_asked_for_are_waited_for(ask: Ask) -> None:
    assert isinstance(ask(f"wait_until_free([{CARD_1!r}], 0)", cards=2, computing=1234), float)


def test_what_draws_the_screen_may_stay(ask: Ask) -> None:
    assert isinstance(ask(f"wait_until_free([{CARD_0!r}], 0)", drawing=99), float)


def test_an_instance_is_waited_for_like_a_card(ask: Ask) -> None:
    answer = ask(f"wait_until_free([{INSTANCE!r}], 0)", cards=2, mig=1, free_after=999)
    assert answer["error"].startswith(f"{INSTANCE} still holds 8192 MiB")


def test_waiting_for_a_gpu_that_is_not_there_is_an_error(ask: Ask) -> None:
    assert "no GPU" in ask(f"wait_until_free([{CARD_0!r}], 0)", library=False)["error"]
    assert "NVML error 6" in ask("wait_until_free(['GPU-9'], 0)")["error"]


def test_a_broken_driver_leaves_the_rest_of_the_environment_standing(ask: Ask) -> None:
    found = ask("environment()", fail="nvmlInitWithFlags=18")
    assert found["gpus"] == []
    assert "different versions" in found["gpu_error"]
    assert found["cpu"]["usable_cores"] >= 1


def test_the_environment_holds_the_cards_and_the_driver(ask: Ask) -> None:
    found = ask("environment()", cards=2)
    assert [card["uuid"] for card in found["gpus"]] == [CARD_1, CARD_0]
    assert found["driver"] == {"version": "575.57.08", "cuda": "12.9"}
    assert found["gpu_error"] is None


def test_cards_are_seen_on_the_bus_without_any_driver(tmp_path: Path) -> None:
    devices = {
        "0000:3b:00.0": ("0x10de", "0x030200"),
        "0000:3b:00.1": ("0x10de", "0x040300"),  # the sound output of a card
        "0000:00:02.0": ("0x8086", "0x030000"),
    }
    for place, (vendor, kind) in devices.items():
        folder = tmp_path / "sys/bus/pci/devices" / place
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(vendor + "\n")
        (folder / "class").write_text(kind + "\n")
    assert cards_on_bus(tmp_path) == ("0000:3b:00.0",)
    assert cards_on_bus(tmp_path / "elsewhere") == ()
