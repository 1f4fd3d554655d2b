"""Share XLA's kernel choices between trials on a GPU, so that arms do not differ by chance.

Usage:
    settings, warning = share_autotuning_cache(uuids)     # before TensorFlow is imported
    settings.get("autotune_cache")                  # None if each trial makes its own choices

When XLA compiles a product or a convolution, it times several kernels and picks the fastest. If
their times are close, the choice varies between processes. A cache folder makes the choice hold
for all later trials on the same GPU, and for other arms that compute the same thing. The choices
that TensorFlow makes without XLA (cuDNN's algorithms) are not written to any file and cannot be
shared.

Observed with XLA of TensorFlow 2.21: ``--xla_gpu_per_fusion_autotune_cache_dir`` is read but has
no effect. XLA repeats the choice for an entry that it cannot parse and replaces the entry; it
repeats the choice for an empty entry but leaves that one in place. An entry that cannot be written
ends the process. Several processes writing one entry at once also end the process (reported, not
tried: marin-community/marin#8896). So each GPU has its own folder, and only the process that owns
the GPU writes to it.
"""

import importlib.metadata
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import ResourceError
from bench.files.private_folder import private_folder
from bench.measure.gpu import driver, resolve_visible

_FLAG = "--xla_gpu_experimental_autotuner_cache_dir"
_SUPPORTED_VERSIONS = re.compile(r"2\.21(\.|$)")
"""TensorFlow versions that know the flag: an unknown flag ends the process."""
_MIN_FREE_BYTES = 64 * 2**20


def share_autotuning_cache(uuids: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """Make XLA in this process reuse the kernel choices of earlier processes on the same GPU.

    ``uuids`` identify the process's GPUs; without any, nothing changes. XLA_FLAGS that the user
    has set are kept and take precedence.

    Returns entries for ``resolved`` and a warning. The entries are what the choices depend on
    (versions and model, no path) and how many choices the cache held; they are empty if the cache
    does not apply. If the cache cannot be used, "autotune_cache" is None and the warning says why.
    """
    user_flags = os.environ.get("XLA_FLAGS", "").strip()
    # A value without leading dashes names a file of flags.
    if not uuids or _FLAG in user_flags or (user_flags and not user_flags.startswith("--")):
        return {}, None
    try:
        key = _key(uuids[0])
        if key is None:
            return {}, None
        folder = _make_folder(key, uuids[0])
        entry_count = _remove_empty(folder)
    except (OSError, ResourceError) as error:
        reason = error.strerror or error.args[-1] if isinstance(error, OSError) else error
        return {"autotune_cache": None}, f"XLA's kernel choices are not cached: {reason}"
    os.environ["XLA_FLAGS"] = f"{_FLAG}={folder} {user_flags}".strip()
    return {"autotune_cache": key, "autotune_entry_count": entry_count}, None


def _key(uuid: str) -> str | None:
    """Name what a choice depends on; None for an untested TensorFlow version."""
    version = importlib.metadata.version("tensorflow")
    if not _SUPPORTED_VERSIONS.match(version):
        return None
    gpu_driver = driver()
    versions = f"tensorflow-{version} driver-{gpu_driver.version if gpu_driver else None}"
    return re.sub(r"[^\w.]+", "-", f"{versions} {resolve_visible(uuid).name}")


def _make_folder(key: str, uuid: str) -> Path:
    """Make the folder for a GPU's choices, writable by this user only; OSError if impossible."""
    folder = private_folder("autotuning") / key / uuid
    # XLA splits its flags at whitespace.
    if re.search(r"\s", str(folder)):
        raise OSError("the cache's path contains a space: set BENCH_CACHE_DIR to one without")
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < _MIN_FREE_BYTES:
        raise OSError(f"the cache's disk has less than {_MIN_FREE_BYTES // 2**20} MiB free")
    if not os.access(folder, os.W_OK):
        raise OSError("the cache folder of this GPU is not writable")
    return folder


def _remove_empty(folder: Path) -> int:
    """Remove the empty entries that a crash leaves behind; return the number of other entries."""
    entries = list(folder.glob("*.textproto"))
    empty = [entry for entry in entries if entry.stat().st_size == 0]
    for entry in empty:
        entry.unlink()
    return len(entries) - len(empty)
