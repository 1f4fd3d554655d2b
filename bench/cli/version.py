"""The text of ``--version``: trainbench, and the software on which measured times depend.

Usage:
    version_text()      # "trainbench 0.1.0 (Python 3.11.7, TensorFlow 2.21.0, ...)"
"""

import importlib.metadata
import platform

_PACKAGES = {"TensorFlow": "tensorflow", "Keras": "keras", "Ray": "ray"}


def version_text() -> str:
    """Return one line, from the metadata of the packages, without importing them."""
    parts = [f"Python {platform.python_version()}"]
    parts += [f"{title} {_version(name)}" for title, name in _PACKAGES.items()]
    return f"trainbench {trainbench_version()} ({', '.join(parts)})"


def trainbench_version() -> str:
    """Return the version of the installed package."""
    return _version("trainbench")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
