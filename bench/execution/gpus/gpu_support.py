"""Check that the pinned TensorFlow can train on a machine's GPUs and driver.

Usage:
    unsupported_reason(card, driver)           # a GpuFault for one card of an environment, or None
    check_gpus(on_each_node)                   # ResourceError that names node, card and remedy
    python -m bench.execution.gpus.gpu_support     # check this machine; see the exit code

According to its build information and fat binaries, TensorFlow 2.21.0's wheel holds:

- machine code for compute capability 6.0, 7.0, 8.0 and 8.9, which by CUDA's rules of binary
  compatibility runs on all of 6.x, 7.x and 8.x;
- for 9.0 and later mostly PTX, of versions 8.3 and 8.5. The driver compiles it at first use. A
  driver older than CUDA 12.5, which introduced PTX 8.5, refuses it (onnxruntime#22212);
- for 12.x nothing that runs: the driver refuses that PTX, whatever the driver's version
  (tensorflow#99592, #101746).

There are no reports about 10.x (B200), which also uses PTX: it is not refused here, and
``bench doctor`` trains a step on it. Every CUDA 12 library needs a CUDA 12 driver.
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
"""A node's name, and the reason why its GPUs cannot train; None if they can."""


@dataclass(frozen=True)
class GpuFault:
    """Why a GPU cannot train, and what to do about it."""

    problem: str
    remedy: str


def check_gpus(ask: Callable[[Callable[[None], Answer], None], Iterable[Answer]]) -> None:
    """Raise ResourceError if the GPUs of a node cannot train; ``ask`` calls a function per node."""
    for node, reason in ask(node_fault, None):
        if reason:
            raise ResourceError(f"node {node}: {reason}")


def node_fault(_: None = None) -> Answer:
    """Return this machine's name and the first reason why its visible GPUs cannot train."""
    from bench.measure.environment import environment
    from bench.training.cuda.cuda_libraries import has_driver, load_failures

    facts = environment()
    fault = first_unsupported(facts)
    if fault is None and visible_cards(facts) and has_driver():
        fault = library_fault(load_failures(), facts["library_path"])
    return socket.gethostname(), f"{fault.problem}: {fault.remedy}" if fault else None


def first_unsupported(facts: _Facts) -> GpuFault | None:
    """Return the fault of the first visible card that TensorFlow cannot train on."""
    if not str(facts["packages"].get("tensorflow", "")).startswith(_TENSORFLOW):
        return None
    faults = (unsupported_reason(card, facts["driver"]) for card in visible_cards(facts))
    return next((fault for fault in faults if fault), None)


def gpu_fault(facts: _Facts) -> GpuFault | None:
    """Return the GPU fault in an environment: the driver's error, or an unsupported card."""
    if facts["gpu_error"]:
        problem, _, remedy = facts["gpu_error"].rpartition(": ")
        return GpuFault(problem, remedy)
    return first_unsupported(facts)


def unsupported_reason(card: _Facts, driver: _Facts | None) -> GpuFault | None:
    """Return why TensorFlow 2.21 cannot train on ``card``; None if it can or if nobody knows."""
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
            f"the driver {version} supports CUDA up to {_text(cuda)}, but TensorFlow's code for "
            f"{name} needs {_text(needed)}",
            f"install a driver that supports CUDA {_text(needed)} or later",
        )
    return None


def compiles_at_first_use(card: _Facts) -> bool:
    """Return whether the driver must compile TensorFlow's code for ``card`` before it runs."""
    capability = _version(card["compute_capability"])
    return capability is not None and capability >= _FIRST_PTX_ONLY


def library_fault(failures: Mapping[str, str], library_path: Iterable[str]) -> GpuFault | None:
    """Describe the CUDA libraries that TensorFlow needs and that do not load; None if all load.

    ``failures`` maps library names to the loader's messages. ``library_path`` holds the folders of
    LD_LIBRARY_PATH, which come before pip's packages.
    """
    if not failures:
        return None
    by_reason: dict[str, list[str]] = {}
    for soname, message in failures.items():
        by_reason.setdefault(message.removeprefix(f"{soname}: "), []).append(soname)
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
    problem = f"CUDA's libraries do not load: {reasons}"
    for folder in library_path:
        if folder in reasons:
            return GpuFault(problem, f"remove {folder} from LD_LIBRARY_PATH")
    return GpuFault(problem, INSTALL_CUDA)


def visible_cards(facts: _Facts) -> list[_Facts]:
    """Return the cards of an environment that CUDA_VISIBLE_DEVICES names, in its order."""
    listed = (facts["variables"] or {}).get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return list(facts["gpus"])
    visible = []
    for entry in visible_entries(listed):
        card = next((card for card in facts["gpus"] if _is_named(card, entry)), None)
        if card is None:  # like CUDA, ignore the entries after an unknown one
            break
        if card not in visible:
            visible.append(card)
    return visible


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
    """Print why this machine's GPUs cannot train; return the exit code."""
    try:
        check_gpus(lambda question, nothing: [question(nothing)])
    except ResourceError as error:
        sys.stderr.write(f"bench: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
