"""Check GPUs for the doctor: the cards, their driver, who uses them, what TensorFlow sees.

Usage:
    gpu_check(environment, on_bus), use_checks(uses), cuda_checks(reply, environment)

The facts are plain data, as in ``bench.doctor.machine_checks``.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.doctor.machine_checks import Check
from bench.execution.gpus.gpu_support import (
    INSTALL_CUDA,
    first_unsupported,
    gpu_fault,
    library_fault,
    visible_cards,
)
from bench.measure.gpu import Gpu
from bench.measure.gpu_occupancy import IDLE_BYTES, Occupancy

_Facts = Mapping[str, Any]

_PTXAS_FLAG = "XLA_FLAGS=--xla_gpu_cuda_data_dir=FOLDER, the nvidia/cuda_nvcc of site-packages"


def gpu_check(facts: _Facts, on_bus: Sequence[str]) -> Check:
    """Check the cards and their driver; ``on_bus`` are the cards that the kernel sees."""
    cards, driver = facts["gpus"], facts["driver"]
    fault = gpu_fault(facts)
    if cards:
        version = f"driver {driver['version']}, CUDA up to {driver['cuda']}"
        finding = f"{', '.join(_card_ranges(cards))} ({version})"
        if fault:
            return Check("GPUs", "broken", f"{finding}: {fault.problem}", fault.remedy)
        return Check("GPUs", "ok", finding)
    if fault:
        return Check("GPUs", "broken", fault.problem, fault.remedy)
    if not on_bus:
        return Check("GPUs", "ok", "none: trials run on the CPU")
    if driver:
        return Check(
            "GPUs",
            "broken",
            f"{len(on_bus)} on the PCI bus, but the driver lets this user use none",
            "give this user access to /dev/nvidia*, or ask the scheduler for a GPU",
        )
    return Check(
        "GPUs",
        "broken",
        f"{len(on_bus)} on the PCI bus ({', '.join(on_bus)}), but no driver",
        "install NVIDIA's driver so that nvidia-smi lists them; start a container with --gpus all",
    )


def use_checks(uses: Mapping[Gpu, Occupancy]) -> list[Check]:
    """Report the GPUs that a run would leave out because they are busy; empty without GPUs.

    ``uses`` holds the GPUs that a run would use, judged as a run does when it starts. A run
    continues without the busy ones, so they are a fault only if all are busy.
    """
    if not uses:
        return []
    busy = {gpu: why for gpu, use in uses.items() if (why := use.busy(None))}
    finding = [f"a run excludes GPU {gpu.token}: {why}" for gpu, why in busy.items()]
    finding += [
        f"processes that the driver does not list hold {held_bytes / 1e9:.1f} GB of GPU {gpu.token}"
        for gpu, use in uses.items()
        if gpu not in busy and (held_bytes := use.excess_bytes(0)) > IDLE_BYTES
    ]
    text = "; ".join(finding) or "no other process computes on them"
    if len(busy) < len(uses):
        return [Check("GPU use", "ok", text)]
    return [Check("GPU use", "broken", text, "end the processes on them, or use --device cpu")]


def cuda_checks(reply: _Facts, facts: _Facts) -> list[Check]:
    """Check CUDA's libraries and the cards that TensorFlow registers; empty without cards."""
    if reply["error"] or not facts["gpus"]:
        return []
    return [
        *_library_checks(reply, facts),
        _registered_check(reply, facts),
        *_ptxas_checks(reply, facts["driver"]),
    ]


def _card_ranges(cards: Sequence[_Facts]) -> Iterator[str]:
    """Yield cards of one name with their first and last number: "0-7 NVIDIA H100"."""
    for name, alike in itertools.groupby(cards, key=lambda card: str(card["name"])):
        numbers = [card["index"] for card in alike]
        span = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
        yield f"{span} {name}"


def _library_checks(reply: _Facts, facts: _Facts) -> Iterator[Check]:
    if not reply["cuda_build"]:
        return
    fault = library_fault(reply["cuda_failures"], facts["library_path"])
    if fault:
        yield Check("CUDA libraries", "broken", fault.problem, fault.remedy)
    else:
        yield Check("CUDA libraries", "ok", "all load")


def _registered_check(reply: _Facts, facts: _Facts) -> Check:
    cards, registered, name = facts["gpus"], len(reply["gpus"]), "GPUs in TensorFlow"
    visible = visible_cards(facts)
    # If a card is split by MIG, CUDA uses one instance of it and no other card.
    expected = 1 if any(card["mig"] for card in visible) else len(visible)
    finding = f"{registered} of {len(cards)}"
    if expected == 0:
        variable = facts["variables"]["CUDA_VISIBLE_DEVICES"]
        finding = f"none: hidden by CUDA_VISIBLE_DEVICES={variable!r}"
        return Check(name, "missing", finding, "unset CUDA_VISIBLE_DEVICES to train on them")
    if registered >= expected:
        return Check(name, "ok", finding)
    if not reply["cuda_build"]:
        return Check(name, "broken", f"{finding}: built without CUDA", INSTALL_CUDA)
    return Check(name, "broken", finding, _remedy(reply, facts))


def _remedy(reply: _Facts, facts: _Facts) -> str:
    fault = first_unsupported(facts) or library_fault(reply["cuda_failures"], facts["library_path"])
    if fault:
        return fault.remedy
    if not reply["driver_library"]:
        return (
            "libcuda.so.1 of the driver does not load: install it, or start the container with "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        )
    return "see TensorFlow's messages: python -m bench.training.tensorflow_probe"


def _ptxas_checks(reply: _Facts, driver: _Facts | None) -> Iterator[Check]:
    """Report if XLA's assembler, the first on PATH, comes from a CUDA that the driver cannot run.

    Minor versions are compatible, major versions are not (NVIDIA's CUDA Compatibility).
    """
    ptxas_major, driver_major = _major(reply["ptxas"]), _major((driver or {}).get("cuda"))
    if ptxas_major is None or driver_major is None or ptxas_major <= driver_major:
        return
    finding = f"XLA uses ptxas {reply['ptxas']}, but the driver supports CUDA {driver_major}"
    yield Check("ptxas", "broken", finding, f"remove that CUDA from PATH, or set {_PTXAS_FLAG}")


def _major(version: str | None) -> int | None:
    major = (version or "").partition(".")[0]
    return int(major) if major.isdigit() else None
