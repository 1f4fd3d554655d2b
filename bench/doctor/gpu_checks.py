"""The doctor's checks of GPUs: the cards, their driver, who uses them, what TensorFlow sees.

Usage:
    gpu_check(environment, on_bus), use_checks(uses), cuda_checks(reply, environment)

Facts come as plain data, as in ``bench.doctor.machine_checks``.
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
    """The cards and their driver; ``on_bus`` are those that the kernel sees."""
    cards, driver = facts["gpus"], facts["driver"]
    fault = gpu_fault(facts)
    if cards:
        version = f"driver {driver['version']}, CUDA up to {driver['cuda']}"
        found = f"{', '.join(_named(cards))} ({version})"
        if fault:
            return Check("GPUs", "broken", f"{found}: {fault.problem}", fault.remedy)
        return Check("GPUs", "ok", found)
    if fault:
        return Check("GPUs", "broken", fault.problem, fault.remedy)
    if not on_bus:
        return Check("GPUs", "ok", "none: trials run on the CPU")
    if driver:
        return Check(
            "GPUs",
            "broken",
            f"{len(on_bus)} on the PCI bus, none given to this user by the driver",
            "give this user access to /dev/nvidia*, or ask the scheduler for a GPU",
        )
    return Check(
        "GPUs",
        "broken",
        f"{len(on_bus)} on the PCI bus ({', '.join(on_bus)}), but no driver",
        "install NVIDIA's driver until nvidia-smi lists them; start a container with --gpus all",
    )


def use_checks(uses: Mapping[Gpu, Occupancy]) -> list[Check]:
    """What a run would leave out since others use it; nothing where there are no GPUs.

    ``uses`` holds the GPUs that a run would have, judged as the run judges them as it starts. It
    goes on without those that are busy: only where all are is that a fault.
    """
    if not uses:
        return []
    busy = {gpu: why for gpu, use in uses.items() if (why := use.busy(None))}
    found = [f"a run leaves out GPU {gpu.token}: {why}" for gpu, why in busy.items()]
    found += [
        f"GPU {gpu.token} holds {held_bytes / 1e9:.1f} GB of no process to be seen"
        for gpu, use in uses.items()
        if gpu not in busy and (held_bytes := use.excess_bytes(0)) > IDLE_BYTES
    ]
    text = "; ".join(found) or "nobody else computes on them"
    if len(busy) < len(uses):
        return [Check("GPU use", "ok", text)]
    return [Check("GPU use", "broken", text, "end what runs there, or use --device cpu")]


def cuda_checks(reply: _Facts, facts: _Facts) -> list[Check]:
    """CUDA's libraries and the cards that TensorFlow registers; nothing where there are none."""
    if reply["error"] or not facts["gpus"]:
        return []
    return [*_libraries(reply, facts), _seen(reply, facts), *_ptxas(reply, facts["driver"])]


def _named(cards: Sequence[_Facts]) -> Iterator[str]:
    """Cards of one name by their first and last number: "0-7 NVIDIA H100"."""
    for name, alike in itertools.groupby(cards, key=lambda card: str(card["name"])):
        numbers = [card["index"] for card in alike]
        span = f"{numbers[0]}-{numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
        yield f"{span} {name}"


def _libraries(reply: _Facts, facts: _Facts) -> Iterator[Check]:
    if not reply["cuda_build"]:
        return
    fault = library_fault(reply["cuda_failures"], facts["library_path"])
    if fault:
        yield Check("CUDA libraries", "broken", fault.problem, fault.remedy)
    else:
        yield Check("CUDA libraries", "ok", "all load")


def _seen(reply: _Facts, facts: _Facts) -> Check:
    cards, seen, name = facts["gpus"], len(reply["gpus"]), "GPUs in TensorFlow"
    visible = visible_cards(facts)
    # Of a card split by MIG, CUDA takes one instance, and then no other card.
    expected = 1 if any(card["mig"] for card in visible) else len(visible)
    found = f"{seen} of {len(cards)}"
    if expected == 0:
        variable = facts["variables"]["CUDA_VISIBLE_DEVICES"]
        found = f"none: hidden by CUDA_VISIBLE_DEVICES={variable!r}"
        return Check(name, "missing", found, "unset CUDA_VISIBLE_DEVICES to train on them")
    if seen >= expected:
        return Check(name, "ok", found)
    if not reply["cuda_build"]:
        return Check(name, "broken", f"{found}: built without CUDA", INSTALL_CUDA)
    return Check(name, "broken", found, _remedy(reply, facts))


def _remedy(reply: _Facts, facts: _Facts) -> str:
    fault = first_unsupported(facts) or library_fault(reply["cuda_failures"], facts["library_path"])
    if fault:
        return fault.remedy
    if not reply["driver_library"]:
        return (
            "libcuda.so.1 of the driver does not load: install it, or start the container with "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility"
        )
    return "see what TensorFlow says: python -m bench.training.tensorflow_probe"


def _ptxas(reply: _Facts, driver: _Facts | None) -> Iterator[Check]:
    """A fault where XLA's assembler, the first on PATH, is of a CUDA that the driver cannot run.

    Minor versions are compatible, major ones are not (NVIDIA's CUDA Compatibility).
    """
    assembles, runs = _major(reply["ptxas"]), _major((driver or {}).get("cuda"))
    if assembles is None or runs is None or assembles <= runs:
        return
    found = f"XLA assembles by ptxas {reply['ptxas']}, the driver runs CUDA {runs}"
    yield Check("ptxas", "broken", found, f"take that CUDA out of PATH, or set {_PTXAS_FLAG}")


def _major(version: str | None) -> int | None:
    major = (version or "").partition(".")[0]
    return int(major) if major.isdigit() else None
