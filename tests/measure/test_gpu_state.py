"""Settings of cards are read through the real NVML binding over a fake library."""

from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., Any]

STATE = "environment()['gpus'][0]['state']"


def test_clocks_power_modes_and_links_are_in_si_units(ask: Ask) -> None:
    answers = {
        # Of clocks, 1 is the SM's and 2 the memory's.
        "nvmlDeviceGetClockInfo.1": 345,
        "nvmlDeviceGetMaxClockInfo.1": 1980,
        "nvmlDeviceGetApplicationsClock.1": 1500,
        "nvmlDeviceGetClockInfo.2": 2619,
        "nvmlDeviceGetEnforcedPowerLimit": 350_000,
        "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
        "nvmlDeviceGetPersistenceMode": 0,
        "nvmlDeviceGetEccMode": 1,
        "nvmlDeviceGetComputeMode": 3,
        "nvmlDeviceGetCurrPcieLinkGeneration": 1,
        "nvmlDeviceGetMaxPcieLinkGeneration": 5,
        "nvmlDeviceGetCurrPcieLinkWidth": 8,
        "nvmlDeviceGetNvLinkState": 1,
        "nvmlDeviceGetNvLinkState.17": 0,
    }
    rules = ",".join(f"{query}={value}" for query, value in answers.items())
    state = ask(STATE, answer=rules)
    assert state["sm"] == {
        "current_hz": 345_000_000,
        "max_hz": 1_980_000_000,
        "application_hz": 1_500_000_000,
    }
    assert state["memory"]["current_hz"] == 2_619_000_000
    assert (state["power_cap_w"], state["default_power_cap_w"]) == (350, 700)
    assert (state["persistence"], state["ecc"]) == (False, True)
    assert state["compute_mode"] == "exclusive_process"
    assert (state["pcie_generation"], state["max_pcie_generation"]) == (1, 5)
    assert (state["pcie_width"], state["max_pcie_width"]) == (8, 16)
    assert state["nvlinks"] == 17


@pytest.mark.parametrize("code", [2, 3, 4, 15, 999])
def test_a_value_that_cannot_be_read_is_none_for_any_error(ask: Ask, code: int) -> None:
    queries = (
        *("ClockInfo", "MaxClockInfo", "ApplicationsClock", "EnforcedPowerLimit", "EccMode"),
        *("PowerManagementDefaultLimit", "PersistenceMode", "ComputeMode", "NvLinkState"),
        *("CurrPcieLinkGeneration", "MaxPcieLinkGeneration"),
        *("CurrPcieLinkWidth", "MaxPcieLinkWidth"),
    )
    state = ask(STATE, fail=",".join(f"nvmlDeviceGet{query}={code}" for query in queries))
    flat = {**state["sm"], **state["memory"], **state}
    assert {key for key, value in flat.items() if value is not None} == {"sm", "memory"}


def test_each_card_has_its_state(ask: Ask) -> None:
    # The last card of the driver is the first on the bus.
    cards = ask("environment()['gpus']", cards=2, answer="nvmlDeviceGetEnforcedPowerLimit@0=9000")
    assert [card["state"]["power_cap_w"] for card in cards] == [700, 9]
