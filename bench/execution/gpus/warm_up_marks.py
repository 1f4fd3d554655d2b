"""Mark the kernels that a node's GPUs have been warmed up for, in the driver's code cache.

Usage:
    marks = WarmUpMarks(os.environ, card_name)     # after set_code_cache
    if kernels not in marks: ...; marks.add(kernels)

Without a folder for CUDA's cache there are no marks. Deleting the cache deletes the marks as well.
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
        path = environ.get("CUDA_CACHE_PATH")
        self._folder = Folder(Path(path)) / _FOLDER if path else None
        gpu_driver = driver()
        version = importlib.metadata.version("tensorflow")
        self._common = (gpu_driver.version if gpu_driver else None, version, card_name)

    def __contains__(self, kernels: str) -> bool:
        if self._folder is None:
            return False
        try:
            return self._folder.read(self._name(kernels), most_bytes=0) == b""
        except OSError:
            return False

    def add(self, kernels: str) -> None:
        """Mark a program's kernels as compiled, if the mark can be stored."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.make(0o700)
                self._folder.write(self._name(kernels), b"")

    def _name(self, kernels: str) -> str:
        return hashlib.sha256(repr((*self._common, kernels)).encode()).hexdigest()
