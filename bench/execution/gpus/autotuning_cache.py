"""XLA's choice of kernels on a GPU, kept from trial to trial, so that arms do not differ by luck.

Usage:
    settings, warning = share_autotuning_cache(uuids)     # before TensorFlow is imported
    settings.get("autotune_cache")                  # None where each trial chooses for itself

XLA times several kernels for a product or a convolution as it compiles, and takes the fastest;
which one that is differs from process to process where they are close. Kept in a folder, a
choice holds for all later trials on the same GPU, and for its other arms wherever they compute
the same. What TensorFlow chooses without XLA (cuDNN's algorithms) is in no file: nothing keeps it.

What XLA of TensorFlow 2.21 does, tried: ``--xla_gpu_per_fusion_autotune_cache_dir`` is read and
has no effect; an entry that cannot be parsed is chosen anew and replaced; an empty one is chosen
anew and stays; one that cannot be written ends the process. XLA also ends the process where several
write one entry at once (reported, not tried: marin-community/marin#8896). So a GPU has a folder of
its own, which only the process that has the GPU writes to.
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
_TRIED = re.compile(r"2\.21(\.|$)")
"""Versions of TensorFlow that know the flag: an unknown one ends the process."""
_LEAST_FREE_BYTES = 64 * 2**20


def share_autotuning_cache(uuids: Sequence[str]) -> tuple[dict[str, Any], str | None]:
    """Have XLA of this process keep its choices with those of earlier ones on the same GPU.

    ``uuids`` are those of the process's GPUs; nothing is changed where there are none. A user's
    own XLA_FLAGS are kept, and win. Returns what belongs into ``resolved``: what the choices
    depend on (versions and model, no path), and how many there were; nothing where none are to be
    kept. Where they could not be, "autotune_cache" is None, and there is a warning that says why.
    """
    own = os.environ.get("XLA_FLAGS", "").strip()
    # What does not begin so is the name of a file of flags.
    if not uuids or _FLAG in own or (own and not own.startswith("--")):
        return {}, None
    try:
        key = _key(uuids[0])
        if key is None:
            return {}, None
        folder = _made(key, uuids[0])
        entries = _without_empty(folder)
    except (OSError, ResourceError) as error:
        reason = error.strerror or error.args[-1] if isinstance(error, OSError) else error
        return {"autotune_cache": None}, f"XLA's choices of kernels are not kept: {reason}"
    os.environ["XLA_FLAGS"] = f"{_FLAG}={folder} {own}".strip()
    return {"autotune_cache": key, "autotune_entry_count": entries}, None


def _key(uuid: str) -> str | None:
    """What a choice depends on; None for a TensorFlow with which this was not tried."""
    version = importlib.metadata.version("tensorflow")
    if not _TRIED.match(version):
        return None
    known = driver()
    said = f"tensorflow-{version} driver-{known.version if known else None}"
    return re.sub(r"[^\w.]+", "-", f"{said} {resolve_visible(uuid).name}")


def _made(key: str, uuid: str) -> Path:
    """The folder of a GPU's choices, which no other user can write; OSError where there is none."""
    folder = private_folder("autotuning") / key / uuid
    # XLA splits its flags at blanks.
    if re.search(r"\s", str(folder)):
        raise OSError("the cache's path has a blank: name another in BENCH_CACHE_DIR")
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < _LEAST_FREE_BYTES:
        raise OSError(f"the cache's disk has less than {_LEAST_FREE_BYTES // 2**20} MiB left")
    if not os.access(folder, os.W_OK):
        raise OSError("the folder of this GPU's choices cannot be written to")
    return folder


def _without_empty(folder: Path) -> int:
    """Remove entries without content, as a crash leaves them; how many others there are."""
    entries = list(folder.glob("*.textproto"))
    empty = [entry for entry in entries if entry.stat().st_size == 0]
    for entry in empty:
        entry.unlink()
    return len(entries) - len(empty)
