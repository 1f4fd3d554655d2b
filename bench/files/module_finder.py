"""Make files and packages of one folder importable under their own names.

Usage:
    remove = install_finder([Path("/suite/own_nets.py")])
    ...                        # import own_nets
    remove()
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any


def install_finder(modules: Sequence[Path]) -> Callable[[], None]:
    """Make ``modules`` importable until the returned function is called.

    ``modules`` take precedence over installed modules of the same names. Anything else in their
    folder comes after all installed modules: the folder may hold a ``random.py``.
    """
    if not modules:
        return lambda: None
    finder, folder = _ModuleFinder(modules), str(modules[0].parent)
    sys.meta_path.insert(0, finder)
    is_new = folder not in sys.path
    if is_new:
        sys.path.append(folder)
    importlib.invalidate_caches()

    def remove() -> None:
        sys.meta_path.remove(finder)
        if is_new:
            sys.path.remove(folder)

    return remove


class _ModuleFinder:
    """An import finder for ``modules`` only."""

    def __init__(self, modules: Sequence[Path]) -> None:
        self._folders = {module.stem: [str(module.parent)] for module in modules}

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Return the spec of one of the modules, for the import system."""
        folder = self._folders.get(name) if path is None else None
        return PathFinder.find_spec(name, folder) if folder else None
