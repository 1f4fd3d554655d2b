"""Choose the folder in which the driver caches the code that it compiles for a GPU.

Usage:
    warning = set_code_cache(os.environ)          # before CUDA starts in this process
"""

import socket
from collections.abc import MutableMapping

from bench.files.private_folder import private_folder

CACHE_BYTES = 4 * 2**30
"""The most that CUDA allows (CUDA C++ Programming Guide, CUDA_CACHE_MAXSIZE)."""


def set_code_cache(environ: MutableMapping[str, str]) -> str | None:
    """Set the path and size of CUDA's code cache in ``environ``, unless the user has set them.

    Each node has its own folder, because nodes with different drivers may share a home folder.
    If the folder cannot be made, CUDA's default stays in force and a warning is returned. With
    CUDA_CACHE_DISABLE=1, nothing is set.
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
        return f"CUDA keeps compiled code in its default cache: {error.args[-1]}"
    environ["CUDA_CACHE_PATH"] = str(folder)
    return None
