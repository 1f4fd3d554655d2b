"""This process bound to some cores: those nearest to its GPUs, or as many as it was given.

Usage:
    near = bind_near([gpu.uuid], least_cores=8)
    near.cores, near.numa_node             # None where nothing was bound
    bind_to(2, slot=1).cores               # the third and the fourth of those that it may use
    with bound_to_cores(2) as binding: ...       # as it was afterwards

On a machine with two sockets a process that runs on the far one launches kernels and copies data
through the link between them, or does not, as the kernel's scheduler happens to place it.
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
"""Words of NVML's sets: cores and nodes up to number 4095."""
_SET_MEMPOLICY = {"x86_64": 238, "aarch64": 237}
"""Numbers of set_mempolicy(2), which the C library does not offer."""
_MPOL_PREFERRED = 1


@dataclass(frozen=True)
class Binding:
    """Where a process was bound to; None for what was left as it was."""

    cores: tuple[int, ...] | None = None
    numa_node: int | None = None


def bind_near(uuids: Sequence[str], least_cores: int) -> Binding:
    """Bind all threads of this process to the cores near these GPUs, and new memory to their node.

    Cores are bound where at least ``least_cores`` of those that the process may use are near;
    memory then comes from the GPUs' node as long as it has some, where they have one in common and
    the kernel permits it. Nothing is bound where the driver does not say what is near.
    """
    if not uuids:
        return Binding()
    allowed = os.sched_getaffinity(0)
    cores = allowed & _near(uuids, pynvml.nvmlDeviceGetCpuAffinity)
    if not cores or len(cores) < least_cores:
        return Binding()
    _bind(cores)
    nodes = _near(uuids, _memory_affinity)
    node = nodes.pop() if len(nodes) == 1 else None
    return Binding(tuple(sorted(cores)), node if node is not None and _prefer(node) else None)


def bind_to(count: int, slot: int = 0, root: Path = Path("/")) -> Binding:
    """Bind all threads of this process to ``count`` of the logical cores that it may use.

    Processes that are bound side by side differ in ``slot``, from 0, and share no core. Each
    physical core gives one logical core before any gives a second: two threads on one physical
    core would share its arithmetic units. ``root`` is where the kernel's files are looked for.
    Raises ResourceError where there are not as many cores.
    """
    allowed = sorted(os.sched_getaffinity(0), key=lambda core: (_rank(core, root), core))
    cores = allowed[slot * count : (slot + 1) * count]
    if len(cores) < count:
        raise ResourceError(
            f"{(slot + 1) * count} cores are asked for on this node, its processes may use "
            f"{len(allowed)}: lower threads or workers"
        )
    _bind(set(cores))
    return Binding(tuple(sorted(cores)))


@contextlib.contextmanager
def bound_to_cores(count: int) -> Iterator[Binding]:
    """``bind_to`` for as long as the context lasts; then all threads may use what this one could.

    Threads started meanwhile, such as a library's pool, stay as many as they are.
    """
    before = os.sched_getaffinity(0)
    binding = bind_to(count)
    try:
        yield binding
    finally:
        _bind(before)


def _bind(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)


def _rank(core: int, root: Path) -> int:
    """How many logical cores of the same physical core come before ``core``."""
    topology = root / f"sys/devices/system/cpu/cpu{core}/topology"
    siblings = cgroup.read(topology / "thread_siblings_list") or ""  # "0-1" or "0,32"
    ranges = [part.partition("-") for part in siblings.split(",") if part]
    numbers = [n for low, _, high in ranges for n in range(int(low), int(high or low) + 1)]
    return sum(number < core for number in numbers)


def _near(uuids: Sequence[str], query: Callable[..., Any]) -> set[int]:
    """The numbers in NVML's set of each GPU, together; none where it has no set of one."""
    found: set[int] = set()
    try:
        with nvml_session() as available:
            for uuid in uuids:
                words = nvml_optional(query, _card(uuid), _WORDS) if available else None
                if words is None:
                    return set()
                found |= {
                    _WORD_BITS * index + bit
                    for index, word in enumerate(words)
                    for bit in range(_WORD_BITS)
                    if word >> bit & 1
                }
    except ResourceError:  # no reason for a trial to fail
        return set()
    return found


def _memory_affinity(card: Any, words: int) -> Any:
    return pynvml.nvmlDeviceGetMemoryAffinity(card, words, pynvml.NVML_AFFINITY_SCOPE_NODE)


def _card(uuid: str) -> Any:
    handle = nvml_call(pynvml.nvmlDeviceGetHandleByUUID, uuid)
    if uuid.startswith("MIG-"):
        return nvml_call(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle)
    return handle


def _prefer(node: int) -> bool:
    """Whether the kernel takes this thread's new memory, and its children's, from ``node``."""
    number = _SET_MEMPOLICY.get(platform.machine())
    if number is None:
        return False
    mask = (ctypes.c_ulong * _WORDS)()
    mask[node // _WORD_BITS] = 1 << node % _WORD_BITS
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    # The kernel reads one bit less than it is told.
    bits = ctypes.c_ulong(_WORDS * _WORD_BITS + 1)
    return bool(system_call(ctypes.c_long(number), _MPOL_PREFERRED, mask, bits) == 0)
