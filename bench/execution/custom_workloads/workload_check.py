"""Check before anything starts that the modules and functions of custom workloads exist.

Usage:
    check_workloads(trials, suite)                # SuiteError that says what is missing here
    check_on_nodes(trials, on_each_node, modules) # ResourceError that also names a node

Nothing is imported: the driver must not load TensorFlow, which would take the GPUs.
"""

import importlib.util
import socket
from collections.abc import Callable, Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from bench.errors import ResourceError, SuiteError
from bench.execution.custom_workloads.module_folder import (
    importing_from,
    module_names,
    modules_in_folder,
)
from bench.execution.custom_workloads.source_names import SourceNames, names_in_source
from bench.spec.plan import Trial
from bench.spec.suggestion import near_misses, nearest
from bench.spec.suite import Suite

MissingWorkloads = tuple[str, list[str]]
"""A node's name, and the workloads whose modules it lacks."""
WorkloadQuery = tuple[list[str], Sequence[Path]]
"""Workloads, and the modules in the suite's folder."""


def check_workloads(trials: Iterable[Trial], suite: Suite) -> None:
    """Raise SuiteError if a workload's module is not on this machine, or lacks its function."""
    names, modules = _custom_workloads(trials), modules_in_folder(suite)
    _, missing = missing_workloads((names, modules))
    for name in missing:
        near = near_misses(_module(name), module_names(suite))
        remedy = f"did you mean '{near[0]}'?" if near else _REMEDY
        raise SuiteError(f"{_no_module(name)} here: {remedy}")
    check_functions(names, modules)


def check_functions(names: Iterable[str], modules: Sequence[Path]) -> None:
    """Raise SuiteError if a workload's module lacks its function; ``modules`` go first."""
    with importing_from(modules):
        for name in names:
            _check_function(name)


def check_on_nodes(
    trials: Iterable[Trial],
    ask: Callable[
        [Callable[[WorkloadQuery], MissingWorkloads], WorkloadQuery], list[MissingWorkloads]
    ],
    modules: Sequence[Path] = (),
) -> None:
    """Raise ResourceError if a workload's module is not on a node; ``ask`` calls each node."""
    names = _custom_workloads(trials)
    for node, missing in ask(missing_workloads, (names, modules)) if names else ():
        for name in missing:
            raise ResourceError(f"{_no_module(name)} on node {node}: {_NODE_REMEDY}")


def missing_workloads(query: WorkloadQuery) -> MissingWorkloads:
    """Return this machine's name and the workloads whose modules it lacks."""
    names, modules = query
    with importing_from(modules):
        missing = [name for name in names if not is_installed(_module(name))]
    return socket.gethostname(), missing


def is_installed(module: str) -> bool:
    """Return whether ``module`` exists, without importing it or its package."""
    try:
        return _spec(module) is not None
    except KeyError:  # a nested namespace package, which only an import can find
        return True


def _spec(module: str) -> ModuleSpec | None:
    """Find ``module``; KeyError for a nested namespace package, which only an import can find."""
    path, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(path)
        for name in inner:
            if spec is None or spec.submodule_search_locations is None:
                return None
            path = f"{path}.{name}"
            spec = PathFinder.find_spec(path, list(spec.submodule_search_locations))
    except ValueError:  # such as __main__, which has no spec
        return None
    return spec


def _check_function(name: str) -> None:
    """Raise SuiteError if the module's source lacks the function or is not valid Python."""
    module, _, function = name.partition(":")
    try:
        spec = _spec(module)
        file = Path(spec.origin or "") if spec else Path()
        names = names_in_source(file) if file.suffix == ".py" else None
    except KeyError:
        return
    except SyntaxError as error:
        raise SuiteError(
            f"workload '{name}': {error.msg} ({file.name}, line {error.lineno}): correct that line"
        ) from None
    except (OSError, ValueError) as error:
        raise SuiteError(f"workload '{name}': {file.name} cannot be read: {error}") from None
    if names is not None and function not in names.every:
        raise SuiteError(
            f"workload '{name}': no function {function} in {file.name}"
            f"{_suggestion(function, names)}"
        )


def _suggestion(function: str, names: SourceNames) -> str:
    """Suggest similar names, or else the functions that the module defines."""
    every = sorted(names.every)
    candidates = every if near_misses(function, every) else sorted(names.functions) or every
    return nearest(function, candidates) if candidates else ""


_REMEDY = (
    "put it beside the suite's file, install it beside bench on every node, or name its folder in "
    "PYTHONPATH"
)
_NODE_REMEDY = "install it there, or name its folder in PYTHONPATH of Ray"


def _custom_workloads(trials: Iterable[Trial]) -> list[str]:
    variants = (trial.variant for trial in trials)
    return sorted({v.workload for v in variants if v.has_custom_workload})


def _module(name: str) -> str:
    return name.partition(":")[0]


def _no_module(name: str) -> str:
    return f"workload '{name}': there is no module '{_module(name)}'"
