"""Look up custom workloads that installed packages have registered under a name.

Usage:
    resolve_name("towers")       # "my_nets:towers", or "towers" if no package registers it

Names are entry points of installed packages; reading them imports no package.
"""

from importlib.metadata import entry_points

GROUP = "trainbench.workloads"


def resolve_name(name: str) -> str:
    """Return the module and function registered for ``name``, or ``name`` itself.

    A variant holds only the function: what trains alike then has one id, and its records can be
    read without the package. Raises ValueError if packages register different functions.
    """
    functions = sorted({f"{e.module}:{e.attr}" for e in entry_points(group=GROUP, name=name)})
    if len(functions) > 1:
        raise ValueError(
            f"workload '{name}' is registered for {' and for '.join(functions)}: write one of them"
        )
    return functions[0] if functions else name


def registered_workloads() -> list[str]:
    """Return all names that installed packages have registered, sorted."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})
