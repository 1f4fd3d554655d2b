"""Where the driver keeps the code that it has compiled for a GPU.

Usage:
    warning = set_code_cache(os.environ)          # before CUDA starts in this process
"""

import socket
from collections.abc import MutableMapping

from bench.files.private_folder import private_folder

CACHE_BYTES = 4 * 2**30
"""The most that CUDA allows (CUDA C++ Programming Guide, CUDA_CACHE_MAXSIZE)."""


def set_code_cache(environ: MutableMapping[str, str]) -> str | None:
    """Name and size CUDA's cache of compiled code in ``environ``, where the user has not.

    The folder is the node's own: several nodes may share a home, each with another driver. Where
    it cannot be had, CUDA's own choice stands, and the answer is a warning that says why. With
    CUDA_CACHE_DISABLE=1 nothing is set.
    """
    if environ.get("CUDA_CACHE_DISABLE") == "1":
        return None
    environ.setdefault("CUDA_CACHE_MAXSIZE", str(CACHE_BYTES))
    if "CUDA_CACHE_PATH" in environ:
        return None
    try:
        folder = private_folder("cuda") / socket.gethostname()
        folder.mkdir(exist_ok=True)
    except OSError as error:
        return f"compiled code is in CUDA's own cache, not in the suite's: {error.args[-1]}"
    environ["CUDA_CACHE_PATH"] = str(folder)
    return None
