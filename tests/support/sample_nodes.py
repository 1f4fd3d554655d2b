"""Environments of nodes with GPUs, as ``bench.measure.environment`` describes them."""

from typing import Any

HOPPER = "9.0"


def card(index: int, capability: str | None = HOPPER, mig: bool = False) -> dict[str, Any]:
    return {
        "index": index,
        "name": "H100",
        "uuid": f"GPU-{index}",
        "compute_capability": capability,
        "mig": mig,
        "instances": [{"uuid": f"MIG-{index}"}] if mig else [],
    }


def node(*cards: dict[str, Any], cuda: str | None = "12.8", **changed: Any) -> dict[str, Any]:
    return {
        "gpus": list(cards),
        "driver": {"version": "570.86.15", "cuda": cuda} if cards else None,
        "gpu_error": None,
        "packages": {"tensorflow": "2.21.0"},
        "variables": {},
        "library_path": [],
        **changed,
    }
