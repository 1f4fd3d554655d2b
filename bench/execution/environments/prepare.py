"""Prepare the environments that a run uses: find interpreters, check out revisions, run setups.

Usage:
    with prepared_environments(suite, variants, keep_log, on_event) as environments:
        limits = Limits(..., environments=environments)      # worktrees exist within the block

Whatever is missing is refused here, before anything starts, and nothing is left.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from bench.errors import ResourceError, SuiteError
from bench.execution.custom_workloads.module_folder import modules_in_folder
from bench.execution.custom_workloads.workload_check import check_functions
from bench.execution.environments.checkout import (
    Checkout,
    check_out,
    repository_of,
    state_of,
)
from bench.execution.environments.interpreter import check_interpreter
from bench.execution.environments.setup_command import run_setup
from bench.execution.environments.worktrees import remove_abandoned, worktree_folder
from bench.execution.executor import OnEvent, SetupStart
from bench.execution.prepared_environment import PreparedEnvironment
from bench.execution.trial_environment.conflicting_settings import conflicting_setting
from bench.files.user_path import user_path
from bench.measure.marked_processes import inherited_mark
from bench.spec.environments import DEFAULT_ENVIRONMENT, EnvironmentSettings
from bench.spec.suite import Suite
from bench.spec.variant import Variant

KeepLog = Callable[[str, str], None]
"""Takes the name of an environment and the output of its setup."""


@contextlib.contextmanager
def prepared_environments(
    suite: Suite, variants: Collection[Variant], keep_log: KeepLog, on_event: OnEvent
) -> Iterator[dict[str, PreparedEnvironment]]:
    """Prepare the environments of ``variants`` for the block, by name; none if all are default.

    Removes what killed runs have left. Raises ResourceError, with the suite and the environment, if
    one cannot be had.
    """
    remove_abandoned()
    names = sorted({variant.environment for variant in variants} - {DEFAULT_ENVIRONMENT})
    with contextlib.ExitStack() as stack:
        preparation = _Preparation(suite, stack, keep_log, on_event)
        prepared = {}
        for name in names:
            users = [variant for variant in variants if variant.environment == name]
            try:
                prepared[name] = preparation.prepare(
                    name, {v.workload for v in users if v.has_custom_workload}
                )
            except (ResourceError, SuiteError) as error:
                located = ResourceError(f"{suite.source}: environments.{name}: {error}")
                for note in getattr(error, "__notes__", ()):
                    located.add_note(note)
                raise located from None
        if any("revision" in environment.sets for environment in prepared.values()):
            prepared[DEFAULT_ENVIRONMENT] = _default(suite)
        yield prepared


class _Preparation:
    """Prepares environments one by one; ``stack`` removes what that makes."""

    def __init__(
        self, suite: Suite, stack: contextlib.ExitStack, keep_log: KeepLog, on_event: OnEvent
    ) -> None:
        self._suite, self._stack = suite, stack
        self._keep_log, self._on_event = keep_log, on_event
        self._worktrees: Path | None = None

    def prepare(self, name: str, workloads: Collection[str]) -> PreparedEnvironment:
        """Prepare an environment in which trials train ``workloads``, besides built-in ones."""
        settings = self._suite.environments[name]
        prepared = PreparedEnvironment(name, settings.sets, _variables(settings))
        checkout = None
        if settings.revision is not None:
            checkout = self._check_out(name, settings, prepared.variables)
            prepared = self._with_code(prepared, checkout, workloads)
        interpreter = self._interpreter(settings, checkout)
        if interpreter is None and prepared.package is None:
            return prepared
        environ = {**os.environ, **prepared.variables}
        found = check_interpreter(interpreter, prepared.package, environ)
        return dataclasses.replace(
            prepared,
            interpreter=interpreter,
            versions=found.versions,
            tensorflow_build=found.build if interpreter else None,
        )

    def _check_out(
        self, name: str, settings: EnvironmentSettings, variables: Mapping[str, str]
    ) -> Checkout:
        """Return a new worktree at the environment's revision, once its setup has run."""
        assert settings.revision is not None
        if self._worktrees is None:
            self._worktrees = self._stack.enter_context(worktree_folder())
        checkout = check_out(self._suite, settings.revision, self._worktrees / name)
        if settings.setup is not None:
            inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
            environ = {**inherited, **variables, **inherited_mark(self._worktrees.name)}
            self._on_event(SetupStart(name, settings.setup))
            output = run_setup(settings.setup, checkout.folder, environ, settings.setup_timeout_s)
            self._keep_log(name, output)
        return checkout

    def _with_code(
        self, prepared: PreparedEnvironment, checkout: Checkout, workloads: Collection[str]
    ) -> PreparedEnvironment:
        """Return ``prepared`` with what its trials import from ``checkout``."""
        modules = checkout.modules(workloads)
        if checkout.package is None and not modules:
            raise ResourceError(
                "its revision has neither the package bench nor the module of a workload, so that "
                "its trials would not differ: drop revision"
            )
        replaced = {module.stem for module in modules}
        others = [path for path in modules_in_folder(self._suite) if path.stem not in replaced]
        modules = (*modules, *others)
        check_functions(workloads, modules)
        commit, dirty = state_of(checkout.folder)
        return dataclasses.replace(
            prepared, package=checkout.package, modules=modules, commit=commit, dirty=dirty
        )

    def _interpreter(self, settings: EnvironmentSettings, checkout: Checkout | None) -> str | None:
        """Return the path of the environment's interpreter; None if it has this one."""
        if settings.python is None:
            return None
        folder = self._suite.folder or Path.cwd()
        if checkout is not None and settings.setup is not None:
            folder = checkout.suite_folder
        path = folder / user_path(settings.python)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise ResourceError(f"no interpreter {path}: correct python, or install it there")
        return str(path)


def _default(suite: Suite) -> PreparedEnvironment:
    """Return the run's own environment, with the revision that others are compared with."""
    commit, dirty = state_of(repository_of(suite))
    return PreparedEnvironment(commit=commit, dirty=dirty)


def _variables(settings: EnvironmentSettings) -> dict[str, str]:
    variables = {}
    for name, value in settings.variables.items():
        if value is None:
            raise ResourceError(f"variables.{name} has no value: set it")
        variables[name] = value
    if conflict := conflicting_setting({**os.environ, **variables}):
        raise ResourceError(f"variables: {conflict}")
    return variables
