"""Find workload modules in the suite's folder, and make them importable.

Usage:
    modules = modules_in_folder(suite)        # what another machine needs
    with importing_from(modules): ...          # they can be imported within the block
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.files.module_finder import install_finder
from bench.spec.suite import Suite


def modules_in_folder(suite: Suite) -> list[Path]:
    """Return the files and packages in the suite's folder that contain its workloads."""
    if suite.folder is None:
        return []
    tables = [suite.variant, *suite.variants]
    names = [settings.get("workload") for settings in tables] + suite.matrix.get("workload", [])
    packages = {package_of(name) for name in names if name and ":" in name}
    paths = (find_module(suite.folder, package) for package in sorted(packages))
    return [path for path in paths if path is not None]


def module_names(suite: Suite) -> list[str]:
    """Return the names of all modules in the suite's folder, sorted."""
    if suite.folder is None:
        return []
    files = [file.stem for file in suite.folder.glob("*.py")]
    return sorted([*files, *(init.parent.name for init in suite.folder.glob("*/__init__.py"))])


@contextlib.contextmanager
def importing_from(modules: Sequence[Path]) -> Iterator[None]:
    """Make ``modules``, all of one folder, and what they import from it importable in the block.

    They are unloaded at the end, because another suite may have a module of the same name.
    """
    known = set(sys.modules)
    remove = install_finder(modules)
    try:
        yield
    finally:
        remove()
        for name in set(sys.modules) - known:
            package = package_of(name)
            if modules and package not in known and find_module(modules[0].parent, package):
                del sys.modules[name]


def find_module(folder: Path, package: str) -> Path | None:
    """Return the package or the file of that name; None if there is neither."""
    if (folder / package / "__init__.py").is_file():
        return folder / package
    file = folder / f"{package}.py"
    return file if file.is_file() else None


def package_of(module: str) -> str:
    """Return the top package of a module, or of a workload "package.module:function"."""
    return module.partition(":")[0].partition(".")[0]
