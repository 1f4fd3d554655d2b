"""Prepare the environments that a run uses: find interpreters, check out revisions, run setups.

Usage:
    with prepared_environments(suite, variants, keep_log, on_event) as environments:
        limits = Limits(..., environments=environments)      # worktrees exist within the block

Whatever is missing is refused here, before anything starts, and nothing is left.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from bench.errors import ResourceError, SuiteError
from bench.execution.custom_workloads.module_folder import find_module, package_of
from bench.execution.custom_workloads.workload_check import check_functions
from bench.execution.environments.interpreter import check_interpreter
from bench.execution.environments.setup_command import run_setup
from bench.execution.environments.worktrees import add_worktree, worktree_folder
from bench.execution.executor import OnEvent, SetupStart
from bench.execution.prepared_environment import PreparedEnvironment
from bench.execution.trial_environment.conflicting_settings import conflicting_setting
from bench.files.git import GitError, git
from bench.files.toml_file import parse_toml
from bench.files.user_path import user_path
from bench.measure.marked_processes import inherited_mark
from bench.spec.environments import DEFAULT_ENVIRONMENT, EnvironmentSettings
from bench.spec.suite import Suite
from bench.spec.variant import Variant

KeepLog = Callable[[str, str], None]
"""Takes the name of an environment and the output of its setup."""
_DISTRIBUTION = "trainbench"


@contextlib.contextmanager
def prepared_environments(
    suite: Suite, variants: Collection[Variant], keep_log: KeepLog, on_event: OnEvent
) -> Iterator[dict[str, PreparedEnvironment]]:
    """Prepare the environments of ``variants`` for the block, by name; none if all are default.

    Raises ResourceError, with the suite and the environment, if one cannot be had.
    """
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
        variables = _variables(settings)
        worktree, package, modules = None, None, None
        if settings.revision is not None:
            worktree = self._check_out(name, settings.revision)
            self._set_up(name, worktree, settings, variables)
            package = worktree if _is_this_package(worktree) else None
            modules = self._modules(worktree, workloads)
            if package is None and not modules:
                raise ResourceError(
                    f"revision {settings.revision!r} has neither the package bench nor the module "
                    "of a workload, so that its trials would not differ: drop revision"
                )
            check_functions(workloads, modules)
        interpreter = self._interpreter(settings, worktree)
        checked = None
        if interpreter is not None or package is not None:
            checked = check_interpreter(interpreter, package, {**os.environ, **variables})
        commit, dirty = _source(worktree) if worktree else (None, None)
        return PreparedEnvironment(
            name=name,
            sets=settings.sets,
            variables=variables,
            interpreter=interpreter,
            package=package,
            modules=modules,
            versions=checked.versions if checked else {},
            tensorflow_build=checked.build if checked and interpreter else None,
            commit=commit,
            dirty=dirty,
        )

    def _check_out(self, name: str, wanted: str) -> Path:
        """Return a new worktree at the revision ``wanted``."""
        repository = _repository(self._suite)
        if self._worktrees is None:
            self._worktrees = self._stack.enter_context(worktree_folder())
        worktree = self._worktrees / name
        add_worktree(repository, wanted, worktree)
        return worktree

    def _set_up(
        self, name: str, worktree: Path, settings: EnvironmentSettings, variables: dict[str, str]
    ) -> None:
        if settings.setup is not None:
            inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
            environ = {**inherited, **variables, **inherited_mark(worktree.parent.name)}
            self._on_event(SetupStart(name, settings.setup))
            output = run_setup(settings.setup, worktree, environ, settings.setup_timeout_s)
            self._keep_log(name, output)

    def _interpreter(self, settings: EnvironmentSettings, worktree: Path | None) -> str | None:
        """Return the path of the environment's interpreter; None if it has this one."""
        if settings.python is None:
            return None
        folder = self._suite.folder or Path.cwd()
        if worktree is not None and settings.setup is not None:
            folder = self._suite_folder(worktree)
        path = folder / user_path(settings.python)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise ResourceError(f"no interpreter {path}: correct python, or install it there")
        return str(path)

    def _suite_folder(self, worktree: Path) -> Path:
        """Return the folder in ``worktree`` in which the suite's file lies, if it is there."""
        assert self._suite.folder is not None  # else it has no repository
        return worktree / self._suite.folder.relative_to(_repository(self._suite))

    def _modules(self, worktree: Path, workloads: Collection[str]) -> tuple[Path, ...]:
        """Return the files and packages of ``workloads`` in ``worktree``.

        They lie where the suite's file does, in the root or in src.
        """
        folders = (self._suite_folder(worktree), worktree, worktree / "src")
        found = []
        for package in sorted({package_of(workload) for workload in workloads}):
            paths = (find_module(folder, package) for folder in folders)
            if path := next(filter(None, paths), None):
                found.append(path)
        return tuple(found)


def _default(suite: Suite) -> PreparedEnvironment:
    """Return the run's own environment, with the revision that others are compared with."""
    commit, dirty = _source(_repository(suite))
    return PreparedEnvironment(commit=commit, dirty=dirty)


def _source(repository: Path) -> tuple[str, bool]:
    """Return what a repository or worktree is checked out at, and whether tracked files differ.

    New files do not count: they are what ``setup`` makes, and run folders.
    """
    try:
        commit = git(repository, "rev-parse", "HEAD").strip()
        changes = git(repository, "status", "--porcelain", "--untracked-files=no")
    except GitError as error:
        raise ResourceError(f"the state of {repository} is unknown: {error}") from None
    return commit, bool(changes)


def _variables(settings: EnvironmentSettings) -> dict[str, str]:
    variables = {}
    for name, value in settings.variables.items():
        if value is None:
            raise ResourceError(f"variables.{name} has no value: set it")
        variables[name] = value
    if conflict := conflicting_setting({**os.environ, **variables}):
        raise ResourceError(f"variables: {conflict}")
    return variables


def _repository(suite: Suite) -> Path:
    """Return the root of the git repository of the suite's file."""
    if suite.folder is None:
        raise ResourceError("revision needs a suite's file in a git repository: name its path")
    try:
        return Path(git(suite.folder, "rev-parse", "--show-toplevel").rstrip("\n")).resolve()
    except GitError as error:
        raise ResourceError(
            f"revision needs a git repository around {suite.folder}, but {error}: move the "
            "suite's file there"
        ) from None


def _is_this_package(worktree: Path) -> bool:
    """Return whether ``worktree`` is one of this package's own repository."""
    try:
        project = parse_toml((worktree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        named = project["name"] == _DISTRIBUTION
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return named and (worktree / "bench" / "__init__.py").is_file()
