"""``--version``: of trainbench, and of what a measured time depends on.

Usage:
    version_text()      # "trainbench 0.1.0 (Python 3.11.7, TensorFlow 2.21.0, ...)"
"""

import importlib.metadata
import platform

_PACKAGES = {"TensorFlow": "tensorflow", "Keras": "keras", "Ray": "ray"}


def version_text() -> str:
    """A line, from the packages' metadata: none of them is imported."""
    parts = [f"Python {platform.python_version()}"]
    parts += [f"{title} {_version(name)}" for title, name in _PACKAGES.items()]
    return f"trainbench {trainbench_version()} ({', '.join(parts)})"


def trainbench_version() -> str:
    """As the installed package has it."""
    return _version("trainbench")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
