"""Workloads of the user's own: are their modules there, before anything starts?

Usage:
    check_workloads(trials)              # SuiteError that names the module to install here
    check_on_nodes(trials, on_each_node) # ResourceError that names it and the node

Found without being imported: the driver must not load TensorFlow, which takes the GPUs.
"""

import importlib.util
import socket
from collections.abc import Callable, Iterable
from importlib.machinery import PathFinder

from bench.errors import ResourceError, SuiteError
from bench.spec.plan import Trial

Absent = tuple[str, list[str]]
"""A node's name, and the workloads whose modules it does not have."""


def check_workloads(trials: Iterable[Trial]) -> None:
    """SuiteError where the module of a workload is not on this machine."""
    _, lacking = absent(_own(trials))
    for name in lacking:
        raise SuiteError(f"{_said(name)} here: install it beside bench, on every node, {_OR}")


def check_on_nodes(
    trials: Iterable[Trial],
    ask: Callable[[Callable[[list[str]], Absent], list[str]], list[Absent]],
) -> None:
    """ResourceError where the module of a workload is not on a node; ``ask`` calls on each."""
    names = _own(trials)
    for node, lacking in ask(absent, names) if names else ():
        for name in lacking:
            raise ResourceError(f"{_said(name)} on node {node}: install it there, {_OR} of Ray")


def absent(names: list[str]) -> Absent:
    """The name of this machine, and the workloads whose modules are not on it."""
    lacking = [name for name in names if not is_there(name.partition(":")[0])]
    return socket.gethostname(), lacking


def is_there(module: str) -> bool:
    """Whether ``module`` can be found, without importing it or the package that it is in."""
    path, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(path)
        for name in inner:
            if spec is None or spec.submodule_search_locations is None:
                return False
            path = f"{path}.{name}"
            spec = PathFinder.find_spec(path, list(spec.submodule_search_locations))
    except ValueError:  # such as __main__, which has no place
        return False
    except KeyError:  # a namespace within one: known once the outer one is imported
        return True
    return spec is not None


_OR = "or name its folder in PYTHONPATH"


def _own(trials: Iterable[Trial]) -> list[str]:
    variants = (trial.variant for trial in trials)
    return sorted({v.workload for v in variants if v.has_own_workload})


def _said(name: str) -> str:
    return f"workload '{name}': there is no module '{name.partition(':')[0]}'"
