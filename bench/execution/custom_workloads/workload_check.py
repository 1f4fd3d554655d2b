"""Workloads of the user's own: are their modules and functions there, before anything starts?

Usage:
    check_workloads(trials, suite)                # SuiteError that says what is missing here
    check_on_nodes(trials, on_each_node, modules) # ResourceError that names a node as well

Found without being imported: the driver must not load TensorFlow, which takes the GPUs.
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

Absent = tuple[str, list[str]]
"""A node's name, and the workloads whose modules it does not have."""
Asked = tuple[list[str], Sequence[Path]]
"""Workloads, and the modules that lie beside the suite's file."""


def check_workloads(trials: Iterable[Trial], suite: Suite) -> None:
    """SuiteError where a workload's module is not on this machine, or its function not in it."""
    names, modules = _own(trials), modules_in_folder(suite)
    _, lacking = missing_workloads((names, modules))
    for name in lacking:
        near = near_misses(_module(name), module_names(suite))
        remedy = f"did you mean '{near[0]}'?" if near else _REMEDY
        raise SuiteError(f"{_said(name)} here: {remedy}")
    with importing_from(modules):
        for name in names:
            _check_function(name)


def check_on_nodes(
    trials: Iterable[Trial],
    ask: Callable[[Callable[[Asked], Absent], Asked], list[Absent]],
    modules: Sequence[Path] = (),
) -> None:
    """ResourceError where the module of a workload is not on a node; ``ask`` calls on each."""
    names = _own(trials)
    for node, lacking in ask(missing_workloads, (names, modules)) if names else ():
        for name in lacking:
            raise ResourceError(f"{_said(name)} on node {node}: {_REMEDY_THERE}")


def missing_workloads(asked: Asked) -> Absent:
    """The name of this machine, and the workloads whose modules are not on it."""
    names, modules = asked
    with importing_from(modules):
        lacking = [name for name in names if not is_installed(_module(name))]
    return socket.gethostname(), lacking


def is_installed(module: str) -> bool:
    """Whether ``module`` can be found, without importing it or the package that it is in."""
    try:
        return _spec(module) is not None
    except KeyError:  # a namespace within one: known once the outer one is imported
        return True


def _spec(module: str) -> ModuleSpec | None:
    """Where ``module`` is; KeyError for a namespace within one, which only an import finds."""
    path, *inner = module.split(".")
    try:
        spec = importlib.util.find_spec(path)
        for name in inner:
            if spec is None or spec.submodule_search_locations is None:
                return None
            path = f"{path}.{name}"
            spec = PathFinder.find_spec(path, list(spec.submodule_search_locations))
    except ValueError:  # such as __main__, which has no place
        return None
    return spec


def _check_function(name: str) -> None:
    """SuiteError where the module's source has no such function, or is no Python."""
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
            f"workload '{name}': no function {function} in {file.name}{_instead(function, names)}"
        )


def _instead(function: str, names: SourceNames) -> str:
    """What may have been meant: any name that is near, else the functions defined there."""
    every = sorted(names.every)
    offered = every if near_misses(function, every) else sorted(names.functions) or every
    return nearest(function, offered) if offered else ""


_REMEDY = (
    "put it beside the suite's file, install it beside bench on every node, or name its folder in "
    "PYTHONPATH"
)
_REMEDY_THERE = "install it there, or name its folder in PYTHONPATH of Ray"


def _own(trials: Iterable[Trial]) -> list[str]:
    variants = (trial.variant for trial in trials)
    return sorted({v.workload for v in variants if v.has_custom_workload})


def _module(name: str) -> str:
    return name.partition(":")[0]


def _said(name: str) -> str:
    return f"workload '{name}': there is no module '{_module(name)}'"
