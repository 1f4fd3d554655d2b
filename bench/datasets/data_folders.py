"""List the folders to search for Fashion-MNIST, in order, before fetching it.

    1. an explicit folder: the caller's, otherwise ``BENCH_DATA_DIR``
    2. the folder that Debian's package dataset-fashion-mnist installs
    3. this suite's cache: ``BENCH_CACHE_DIR``, otherwise trainbench in the XDG cache folder
    4. Keras's cache: under ``KERAS_HOME``, otherwise ~/.keras

Usage:
    for folder in data_folders(): ...
"""

import os
from pathlib import Path

from bench.datasets.fashion_mnist import DataFolder
from bench.files.private_folder import cache_root, user_home
from bench.files.user_path import user_path

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def data_folders(given: Path | None = None) -> tuple[DataFolder, ...]:
    """Return the folders to search, best first; ``given`` replaces ``BENCH_DATA_DIR``."""
    explicit = _explicit_folder(given)
    candidates = (
        *([explicit] if explicit else []),
        DataFolder("Debian's package", DEBIAN_FOLDER),
        cache(),
        DataFolder("Keras's cache", _keras_home() / "datasets" / "fashion-mnist"),
    )
    distinct: dict[Path, DataFolder] = {}
    for folder in candidates:
        distinct.setdefault(folder.path, folder)
    return tuple(distinct.values())


def cache() -> DataFolder:
    """Return the folder that this suite downloads to."""
    return DataFolder("the cache", cache_root() / "fashion-mnist")


def _explicit_folder(given: Path | None) -> DataFolder | None:
    if given is not None:
        return DataFolder("the given folder", user_path(given))
    value = os.environ.get("BENCH_DATA_DIR")
    return DataFolder("BENCH_DATA_DIR", user_path(value)) if value else None


def _keras_home() -> Path:
    value = os.environ.get("KERAS_HOME")
    return Path(value) if value else user_home() / ".keras"
