"""Identify the processor that code was compiled for.

Usage:
    cpu_identity()        # {"model name": "AMD EPYC 9R14", "flags": "fpu vme ...", ...}
"""

from pathlib import Path

from bench.measure import cgroup

_KEYS = frozenset(
    {
        *("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags"),
        *("CPU implementer", "CPU variant", "CPU part", "CPU revision", "Features"),
    }
)
"""What /proc/cpuinfo says of a processor on x86 and ARM, without clock rates and core numbers."""


def cpu_identity(root: Path = Path("/")) -> dict[str, str]:
    """Return model, revision and instruction sets of the first core; ``root`` is for tests."""
    core, _, _ = (cgroup.read(root / "proc/cpuinfo") or "").partition("\n\n")
    pairs = (line.partition(":") for line in core.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip() in _KEYS}
