"""Choose cores for processes, and bind this one: near its GPUs, or to a fixed number.

Usage:
    binding = bind_near([gpu.uuid], least_cores=8)
    binding.cores, binding.numa_node       # None if nothing was bound
    choose_cores(2, slot=1)                # the third and fourth core that the process may use
    with bound_to_cores(2) as binding: ... # unbound again at the end

Without binding, the kernel's scheduler may run a process on the socket that is far from its GPU.
The process then launches kernels and copies data through the link between the sockets.
"""

import contextlib
import ctypes
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from bench.errors import ResourceError
from bench.measure import cgroup
from bench.measure.nvml import nvml_call, nvml_optional, nvml_session

_WORD_BITS = 64
_WORDS = 64
"""Words of NVML's bit sets: cores and nodes up to number 4095."""
_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
"""System call numbers of set_mempolicy(2), which the C library does not wrap."""
_MPOL_PREFERRED = 1


@dataclass(frozen=True)
class Binding:
    """The cores and the NUMA node that a process was bound to; None if left unchanged."""

    cores: tuple[int, ...] | None = None
    numa_node: int | None = None


def bind_near(uuids: Sequence[str], least_cores: int) -> Binding:
    """Bind all threads of this process to the cores near these GPUs, and new memory to their node.

    Binds only if at least ``least_cores`` of the cores that the process may use are near. Memory
    then prefers the GPUs' node if they share one and the kernel permits it. Binds nothing if the
    driver does not report what is near.
    """
    cores = near_cores(uuids, least_cores)
    if cores is None:
        return Binding()
    _bind(set(cores))
    nodes = _nearby(uuids, _memory_affinity)
    node = nodes.pop() if len(nodes) == 1 else None
    prefers = node is not None and _prefer_node(node)
    return Binding(cores, node if prefers else None)


def near_cores(uuids: Sequence[str], least_cores: int) -> tuple[int, ...] | None:
    """Return the cores near these GPUs that this process may use; None if fewer or unknown."""
    if not uuids:
        return None
    cores = os.sched_getaffinity(0) & _nearby(uuids, pynvml.nvmlDeviceGetCpuAffinity)
    return tuple(sorted(cores)) if cores and len(cores) >= least_cores else None


def choose_cores(count: int, slot: int = 0, root: Path = Path("/")) -> tuple[int, ...]:
    """Return ``count`` of the logical cores that this process may use.

    Processes that run side by side pass a different ``slot``, from 0, and share no core. Each
    physical core provides one logical core before any provides a second: two threads on one
    physical core would share its arithmetic units. ``root`` is the root of the kernel's files.
    Raises ResourceError if there are too few cores.
    """
    allowed = sorted(os.sched_getaffinity(0), key=lambda core: (_sibling_rank(core, root), core))
    cores = allowed[slot * count : (slot + 1) * count]
    if len(cores) < count:
        raise ResourceError(
            f"{(slot + 1) * count} cores are needed on this node, but its processes may use only "
            f"{len(allowed)}: lower threads or workers"
        )
    return tuple(sorted(cores))


@contextlib.contextmanager
def bound_to_cores(count: int) -> Iterator[Binding]:
    """Bind all threads to the cores of ``choose_cores``; afterwards, to this thread's old cores.

    Threads that were started in the block, such as a library's pool, keep their number.
    """
    before = os.sched_getaffinity(0)
    cores = choose_cores(count)
    _bind(set(cores))
    try:
        yield Binding(cores)
    finally:
        _bind(before)


def _bind(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # the thread ended in the meantime
            os.sched_setaffinity(int(thread.name), cores)


def _sibling_rank(core: int, root: Path) -> int:
    """Count the logical cores of the same physical core that come before ``core``."""
    topology = root / f"sys/devices/system/cpu/cpu{core}/topology"
    siblings = cgroup.read(topology / "thread_siblings_list") or ""  # "0-1" or "0,32"
    ranges = [part.partition("-") for part in siblings.split(",") if part]
    numbers = [n for low, _, high in ranges for n in range(int(low), int(high or low) + 1)]
    return sum(number < core for number in numbers)


def _nearby(uuids: Sequence[str], query: Callable[..., Any]) -> set[int]:
    """Return the union of NVML's sets for these GPUs; empty if NVML lacks the set of any."""
    numbers: set[int] = set()
    try:
        with nvml_session() as available:
            for uuid in uuids:
                words = nvml_optional(query, _card(uuid), _WORDS) if available else None
                if words is None:
                    return set()
                numbers |= {
                    _WORD_BITS * index + bit
                    for index, word in enumerate(words)
                    for bit in range(_WORD_BITS)
                    if word >> bit & 1
                }
    except ResourceError:  # this must not fail a trial
        return set()
    return numbers


def _memory_affinity(card: Any, words: int) -> Any:
    return pynvml.nvmlDeviceGetMemoryAffinity(card, words, pynvml.NVML_AFFINITY_SCOPE_NODE)


def _card(uuid: str) -> Any:
    handle = nvml_call(pynvml.nvmlDeviceGetHandleByUUID, uuid)
    if uuid.startswith("MIG-"):
        return nvml_call(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle)
    return handle


def _prefer_node(node: int) -> bool:
    """Take new memory of this thread and its children from ``node``; return whether it worked."""
    number = _SET_MEMPOLICY.get(platform.machine())
    if number is None:
        return False
    mask = (ctypes.c_ulong * _WORDS)()
    mask[node // _WORD_BITS] = 1 << node % _WORD_BITS
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    # The kernel reads one bit less than this number.
    bits = ctypes.c_ulong(_WORDS * _WORD_BITS + 1)
    return bool(system_call(ctypes.c_long(number), _MPOL_PREFERRED, mask, bits) == 0)
