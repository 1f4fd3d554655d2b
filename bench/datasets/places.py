"""Where Fashion-MNIST is looked for, in order, before anything is fetched.

    1. an explicit folder: the caller's, else ``BENCH_DATA_DIR``
    2. what Debian's package dataset-fashion-mnist installs
    3. this suite's cache: ``BENCH_CACHE_DIR``, else trainbench under the XDG cache folder
    4. Keras's cache: under ``KERAS_HOME``, else ~/.keras

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
    """The places to look in, best first; ``folder`` stands in for ``BENCH_DATA_DIR``."""
    explicit = _explicit(folder)
    found = (
        *([explicit] if explicit else []),
        Place("Debian's package", DEBIAN_FOLDER),
        cache(),
        Place("Keras's cache", _keras_home() / "datasets" / "fashion-mnist"),
    )
    distinct: dict[Path, Place] = {}
    for place in found:
        distinct.setdefault(place.folder, place)
    return tuple(distinct.values())


def cache() -> Place:
    """The place that this suite fetches to."""
    return Place("the cache", cache_root() / "fashion-mnist")


def _explicit(folder: Path | None) -> Place | None:
    if folder is not None:
        return Place("the given folder", user_path(folder))
    named = os.environ.get("BENCH_DATA_DIR")
    return Place("BENCH_DATA_DIR", user_path(named)) if named else None


def _keras_home() -> Path:
    named = os.environ.get("KERAS_HOME")
    return Path(named) if named else user_home() / ".keras"
