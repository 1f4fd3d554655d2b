"""What a node's GPUs have been warmed up for: marks beside the code that the driver keeps.

Usage:
    marks = WarmUpMarks(os.environ, card_name)     # after set_cache
    if kernels not in marks: ...; marks.add(kernels)

Without a folder for CUDA's cache there are no marks. Whoever deletes the cache deletes them, too.
"""

import contextlib
import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

from bench.files.folder import Folder
from bench.measure.gpu import driver

_FOLDER = "trainbench-warmed-up"


class WarmUpMarks:
    """The marks for one kind of card, with this node's driver and TensorFlow."""

    def __init__(self, environ: Mapping[str, str], card_name: str) -> None:
        named = environ.get("CUDA_CACHE_PATH")
        self._folder = Folder(Path(named)) / _FOLDER if named else None
        known = driver()
        version = importlib.metadata.version("tensorflow")
        self._common = (known.version if known else None, version, card_name)

    def __contains__(self, kernels: str) -> bool:
        if self._folder is None:
            return False
        try:
            return self._folder.read(self._name(kernels), most_bytes=0) == b""
        except OSError:
            return False

    def add(self, kernels: str) -> None:
        """Mark a program's kernels as compiled, where that can be kept."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.make(0o700)
                self._folder.write(self._name(kernels), b"")

    def _name(self, kernels: str) -> str:
        return hashlib.sha256(repr((*self._common, kernels)).encode()).hexdigest()
