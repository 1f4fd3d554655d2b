"""Make single files and packages importable under their own names.

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
    folders comes after all installed modules: a folder may hold a ``random.py``.
    """
    if not modules:
        return lambda: None
    finder = _ModuleFinder(modules)
    sys.meta_path.insert(0, finder)
    folders = dict.fromkeys(str(module.parent) for module in modules)
    added = [folder for folder in folders if folder not in sys.path]
    sys.path += added
    importlib.invalidate_caches()

    def remove() -> None:
        sys.meta_path.remove(finder)
        for folder in added:
            sys.path.remove(folder)

    return remove


def finder_code(package: str, folder: Path) -> str:
    """Return Python code after which ``package`` is imported from ``folder``, whole.

    Nothing else is imported from there, and no module of the package from elsewhere. The code is
    for an interpreter that cannot import this module yet.
    """
    return _FINDER_CODE.format(package=package, folder=str(folder))


_FINDER_CODE = """
import sys
from importlib.machinery import PathFinder
class PackageFinder:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] != {package!r}:
            return None
        spec = PathFinder.find_spec(name, [{folder!r}] if path is None else path)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return spec
sys.meta_path.insert(0, PackageFinder)
"""


class _ModuleFinder:
    """An import finder for ``modules`` only."""

    def __init__(self, modules: Sequence[Path]) -> None:
        self._folders = {module.stem: [str(module.parent)] for module in modules}

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Return the spec of one of the modules, for the import system."""
        folder = self._folders.get(name) if path is None else None
        return PathFinder.find_spec(name, folder) if folder else None
