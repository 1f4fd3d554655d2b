"""List the places to search for Fashion-MNIST, in order, before fetching it.

    1. an explicit folder: the caller's, otherwise ``BENCH_DATA_DIR``
    2. the folder that Debian's package dataset-fashion-mnist installs
    3. this suite's cache: ``BENCH_CACHE_DIR``, otherwise trainbench in the XDG cache folder
    4. Keras's cache: under ``KERAS_HOME``, otherwise ~/.keras

Usage:
    for place in places(): ...
"""

import os
from pathlib import Path

from bench.datasets.fashion_mnist import Place
from bench.files.private_folder import cache_root, user_home
from bench.files.user_path import user_path

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def places(folder: Path | None = None) -> tuple[Place, ...]:
    """Return the places to search, best first; ``folder`` replaces ``BENCH_DATA_DIR``."""
    explicit = _explicit_place(folder)
    candidates = (
        *([explicit] if explicit else []),
        Place("Debian's package", DEBIAN_FOLDER),
        cache(),
        Place("Keras's cache", _keras_home() / "datasets" / "fashion-mnist"),
    )
    distinct: dict[Path, Place] = {}
    for place in candidates:
        distinct.setdefault(place.folder, place)
    return tuple(distinct.values())


def cache() -> Place:
    """Return the place that this suite downloads to."""
    return Place("the cache", cache_root() / "fashion-mnist")


def _explicit_place(folder: Path | None) -> Place | None:
    if folder is not None:
        return Place("the given folder", user_path(folder))
    value = os.environ.get("BENCH_DATA_DIR")
    return Place("BENCH_DATA_DIR", user_path(value)) if value else None


def _keras_home() -> Path:
    value = os.environ.get("KERAS_HOME")
    return Path(value) if value else user_home() / ".keras"
