"""Which GPUs and drivers the pinned TensorFlow can train on; a run on others is refused.

Usage:
    unsupported_reason(card, driver)            # a GpuFault for one card of an environment, or None
    check_gpus(on_each_node)          # ResourceError that names node, card and remedy
    python -m bench.execution.gpus.gpu_support     # the same of this machine, by its exit code

What TensorFlow 2.21.0's wheel holds, as its build information and its fat binaries say:

- machine code for compute capability 6.0, 7.0, 8.0 and 8.9, and by CUDA's rules of binary
  compatibility for all of 6.x, 7.x and 8.x;
- for 9.0 and later mostly PTX, of versions 8.3 and 8.5. The driver compiles it at first use, and
  one older than CUDA 12.5, which brought PTX 8.5, refuses it (onnxruntime#22212);
- on 12.x the driver refuses that PTX, whatever its version (tensorflow#99592, #101746).

Nobody has reported either way of 10.x (B200), whose code is PTX, too: it is not refused here, and
``bench doctor`` trains a step on it. Any library of CUDA 12 needs a driver of CUDA 12.
"""

import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import ResourceError
from bench.measure.gpu import visible_entries

_TENSORFLOW = "2.21."
_OLDEST_CAPABILITY = (6, 0)
_FIRST_PTX_ONLY = (9, 0)
_FIRST_REFUSED = (12, 0)
_OLDEST_CUDA = (12, 0)
_OLDEST_CUDA_FOR_PTX = (12, 5)

INSTALL_CUDA = "make install EXTRAS=dev,gpu, or pip install 'trainbench[gpu]'"

_Facts = Mapping[str, Any]
Answer = tuple[str, str | None]
"""A node's name, and what keeps its GPUs from training, None where nothing does."""


@dataclass(frozen=True)
class GpuFault:
    """What keeps a GPU from training, and what to do about it."""

    found: str
    remedy: str


def check_gpus(ask: Callable[[Callable[[None], Answer], None], Iterable[Answer]]) -> None:
    """ResourceError where the GPUs of a node cannot train; ``ask`` calls on each node in use."""
    for node, reason in ask(node_fault, None):
        if reason:
            raise ResourceError(f"node {node}: {reason}")


def node_fault(_: None = None) -> Answer:
    """This machine's name, and the first thing that keeps its visible GPUs from training."""
    from bench.measure.environment import environment
    from bench.training.cuda.cuda_libraries import has_driver, load_failures

    facts = environment()
    fault = first_unsupported(facts)
    if fault is None and visible_cards(facts) and has_driver():
        fault = unloadable(load_failures(), facts["library_path"])
    return socket.gethostname(), f"{fault.found}: {fault.remedy}" if fault else None


def first_unsupported(facts: _Facts) -> GpuFault | None:
    """What is amiss with the first visible card that TensorFlow cannot train on."""
    if not str(facts["packages"].get("tensorflow", "")).startswith(_TENSORFLOW):
        return None
    faults = (unsupported_reason(card, facts["driver"]) for card in visible_cards(facts))
    return next((fault for fault in faults if fault), None)


def gpu_fault(facts: _Facts) -> GpuFault | None:
    """What an environment says against its GPUs: the driver's own error, or an unserved card."""
    if facts["gpu_error"]:
        found, _, remedy = facts["gpu_error"].rpartition(": ")
        return GpuFault(found, remedy)
    return first_unsupported(facts)


def unsupported_reason(card: _Facts, driver: _Facts | None) -> GpuFault | None:
    """Why TensorFlow 2.21 cannot train on ``card``; what nobody knows is no reason."""
    capability, cuda = _version(card["compute_capability"]), _version((driver or {}).get("cuda"))
    name = f"GPU {card['index']} ({card['name']}, compute capability {card['compute_capability']})"
    if capability and not _OLDEST_CAPABILITY <= capability < _FIRST_REFUSED:
        return GpuFault(
            f"TensorFlow {_TENSORFLOW.rstrip('.')} has no code that runs on {name}",
            "use a GPU of compute capability 6.0 to 10.x, and hide this one with "
            "CUDA_VISIBLE_DEVICES; or --device cpu",
        )
    needed = _OLDEST_CUDA_FOR_PTX if capability and capability >= _FIRST_PTX_ONLY else _OLDEST_CUDA
    if cuda and cuda < needed:
        version = (driver or {}).get("version") or "of unknown version"
        return GpuFault(
            f"the driver {version} runs CUDA up to {_text(cuda)}, and TensorFlow's code for "
            f"{name} needs {_text(needed)}",
            f"update the driver to one of CUDA {_text(needed)} or later",
        )
    return None


def compiles_at_first_use(card: _Facts) -> bool:
    """Whether the driver has to compile TensorFlow's code for ``card`` before it runs."""
    capability = _version(card["compute_capability"])
    return capability is not None and capability >= _FIRST_PTX_ONLY


def unloadable(failures: Mapping[str, str], library_path: Iterable[str]) -> GpuFault | None:
    """What the loader said of CUDA's libraries that TensorFlow needs; None where all load.

    ``library_path`` holds the folders of LD_LIBRARY_PATH, which come before pip's packages.
    """
    if not failures:
        return None
    by_reason: dict[str, list[str]] = {}
    for soname, said in failures.items():
        by_reason.setdefault(said.removeprefix(f"{soname}: "), []).append(soname)
    reasons = "; ".join(f"{', '.join(names)}: {said}" for said, names in by_reason.items())
    found = f"CUDA's libraries do not load: {reasons}"
    for folder in library_path:
        if folder in reasons:
            return GpuFault(found, f"take {folder} out of LD_LIBRARY_PATH")
    return GpuFault(found, INSTALL_CUDA)


def visible_cards(facts: _Facts) -> list[_Facts]:
    """The cards of an environment that CUDA_VISIBLE_DEVICES leaves, in its order."""
    listed = (facts["variables"] or {}).get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return list(facts["gpus"])
    found = []
    for entry in visible_entries(listed):
        card = next((card for card in facts["gpus"] if _is_named(card, entry)), None)
        if card is None:  # as CUDA does: what follows is not looked at
            break
        if card not in found:
            found.append(card)
    return found


def _is_named(card: _Facts, entry: str) -> bool:
    uuids = [card["uuid"], *(instance["uuid"] for instance in card["instances"])]
    shortened = entry.startswith(("GPU-", "MIG-")) and len(entry) > len("GPU-")
    return entry == str(card["index"]) or (shortened and any(u.startswith(entry) for u in uuids))


def _version(text: str | None) -> tuple[int, int] | None:
    major, _, minor = (text or "").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def _text(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


def main() -> int:
    """Say what keeps this machine's GPUs from training; returns the exit code."""
    try:
        check_gpus(lambda question, nothing: [question(nothing)])
    except ResourceError as error:
        sys.stderr.write(f"bench: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
