"""An environment of a suite that can run trials: found, checked and made on this machine.

Usage:
    environment.variables, environment.interpreter      # what a trial's process gets
    resolved["environment"] = environment.settings()    # what its record says

``bench.execution.environments`` prepares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.spec.environments import DEFAULT_ENVIRONMENT


@dataclass(frozen=True)
class PreparedEnvironment:
    """An environment; the defaults are those of the run's own."""

    name: str = DEFAULT_ENVIRONMENT
    sets: tuple[str, ...] = ()
    """The keys that the suite sets."""
    variables: Mapping[str, str] = field(default_factory=dict)
    interpreter: str | None = None
    """Another Python; None for this one."""
    package: Path | None = None
    """The folder from which a trial imports ``bench``; None for that of this process."""
    modules: tuple[Path, ...] | None = None
    """Files and packages of custom workloads; None for those of the run."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Python, TensorFlow, Keras and NumPy, if it has another interpreter or package."""
    tensorflow_build: str | None = None
    """Identifies the interpreter's TensorFlow; None for that of this process."""
    commit: str | None = None
    """What its worktree, or the suite's own, is checked out at."""
    dirty: bool | None = None
    """Whether files that git tracks there differ from the commit."""

    def settings(self) -> dict[str, Any]:
        """Return what a record says of it; the values of variables are recorded elsewhere."""
        source = {"commit": self.commit, "dirty": self.dirty} if self.commit else None
        return {
            "name": self.name,
            "sets": list(self.sets),
            "variables": sorted(self.variables),
            "revision": source,
        }


DEFAULT = PreparedEnvironment()
"""The environment of the run itself, where the suite has no revision to compare it with."""
