"""Workloads that other packages have registered, each under a name of its own.

Usage:
    expand_name("towers")        # "own_nets:towers", or "towers" where nobody has registered it

They stand among the entry points of installed packages, which are read without importing any.
"""

from importlib.metadata import entry_points

GROUP = "trainbench.workloads"


def expand_name(name: str) -> str:
    """The module and function that ``name`` is registered for; else ``name`` itself.

    A variant holds only those: what trains alike has one id, and its records can be read where
    the package is not installed. ValueError where packages disagree about what the name is.
    """
    found = sorted({f"{e.module}:{e.attr}" for e in entry_points(group=GROUP, name=name)})
    if len(found) > 1:
        raise ValueError(
            f"workload '{name}' is registered for {' and for '.join(found)}: write one of them"
        )
    return found[0] if found else name


def registered_workloads() -> list[str]:
    """All names that installed packages have registered, sorted."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})
