"""Read from NCCL's log which transports it uses between GPUs.

Usage:
    with nccl_log(several_gpus=True) as transports:
        ...                         # train; NCCL starts inside
        resolved["nccl_transport"] = transports()    # ["NET/IB/GDRDMA", "P2P/NVL"]

Environment variables make NCCL log its start to a temporary file of this process. It logs nothing
during training, since the log of each call (COLL) stays off. If the user has set NCCL_DEBUG to more
than warnings, the environment stays unchanged and the transports are unknown.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path

_DEBUG = "NCCL_DEBUG"
_QUIET = ("", "VERSION", "WARN")
"""Values of NCCL_DEBUG, common on clusters, at which NCCL does not log its transports."""
# From the format strings of libnccl.so.2 2.32.3; pattern 4 is a ring.
_CHANNEL = re.compile(r"NCCL INFO (?:Channel|CollNet) \S+ : .* via (.+)")
_RING = re.compile(r"NCCL INFO Pattern 4, .* nChannels [1-9]\d*, .*\btype (\w+)/\w+")
_WARNING = "NCCL WARN"
_NVLS = "NCCL INFO Connected NVLS tree"


@contextlib.contextmanager
def nccl_log(
    several_gpus: bool, environ: MutableMapping[str, str] = os.environ
) -> Iterator[Callable[[], list[str] | None]]:
    """Make NCCL log its start within the block, and yield a function that reads the log.

    The function returns None if NCCL was not used, as without ``several_gpus``, or if the user
    has set up its log.
    """
    if not several_gpus or environ.get(_DEBUG, "").upper() not in _QUIET:
        yield lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="trainbench-nccl-") as folder:
        log = Path(folder) / "log"
        # Without GRAPH, which logs the links between GPUs, P2P may be NVLink or PCIe.
        settings = {
            _DEBUG: "INFO",
            "NCCL_DEBUG_SUBSYS": "INIT,NET,GRAPH",
            "NCCL_DEBUG_FILE": str(log),
        }
        before = {name: environ.get(name) for name in settings}
        environ.update(settings)
        try:
            yield lambda: nccl_transports(_text(log)) or None
        finally:
            # NCCL would have written its warnings there.
            sys.stderr.writelines(line for line in _text(log).splitlines(True) if _WARNING in line)
            for name, value in before.items():
                if value is None:
                    environ.pop(name, None)
                else:
                    environ[name] = value


def nccl_transports(log: str) -> list[str]:
    """Return the kinds of transport in NCCL's log, sorted, without device numbers.

    "P2P/NVL" is from GPU to GPU over NVLink, "P2P/PIX" and the like over PCIe (NCCL's names for
    the farthest link in a ring); "SHM" is through the host's memory; "NET/Socket", "NET/IB" and
    "NET/IB/GDRDMA" are over a network, the last without the host's memory; with "COLLNET/SHARP"
    and "NVLS" a switch sums.
    """
    links = sorted(set(_RING.findall(log)))
    kinds = {_kind(path.strip().split("/"), links) for path in _CHANNEL.findall(log)}
    return sorted(kinds | ({"NVLS"} if _NVLS in log else set()))


def _kind(path: list[str], links: list[str]) -> str:
    """Reduce ``P2P/CUMEM/read``, ``SHM/direct`` or ``NET/IB/0(1)/GDRDMA`` to what affects speed."""
    if path[0] == "P2P":
        return "/".join(["P2P", *links])
    if path[0] in ("NET", "COLLNET"):
        return "/".join([*path[:2], *(["GDRDMA"] if "GDRDMA" in path else [])])
    return path[0]


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
