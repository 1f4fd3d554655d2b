"""Where the driver keeps the code that it has compiled for a GPU.

Usage:
    set_cache(os.environ)          # before CUDA starts in this process
"""

import contextlib
import socket
from collections.abc import MutableMapping

from bench.datasets.places import cache

CACHE_BYTES = 4 * 2**30
"""The most that CUDA allows (CUDA C++ Programming Guide, CUDA_CACHE_MAXSIZE)."""


def set_cache(environ: MutableMapping[str, str]) -> None:
    """Name and size CUDA's cache of compiled code in ``environ``, where the user has not.

    The folder is the node's own: several nodes may share a home, each with another driver. Where
    it cannot be made, CUDA's own choice stands.
    """
    environ.setdefault("CUDA_CACHE_MAXSIZE", str(CACHE_BYTES))
    if "CUDA_CACHE_PATH" in environ:
        return
    folder = cache().folder.parent / "cuda" / socket.gethostname()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        environ["CUDA_CACHE_PATH"] = str(folder)
