"""By which way NCCL sums between GPUs, read from what it logs as it starts.

Usage:
    with nccl_log(several_gpus=True) as transports:
        ...                         # train; NCCL starts inside
        resolved["nccl_transport"] = nccl_transports()    # ["NET/IB/GDRDMA", "P2P/NVL"]

NCCL is told by its environment to log its start into a file of this process's own. It logs
nothing during training: what is logged of each call (COLL) is not asked for. Where the user has
asked for more than warnings (NCCL_DEBUG), nothing is changed and nothing known.
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
"""Values of it with which NCCL says nothing of its transports, as many clusters have them."""
# As the strings of libnccl.so.2 2.32.3 have them; pattern 4 is a ring.
_CHANNEL = re.compile(r"NCCL INFO (?:Channel|CollNet) \S+ : .* via (.+)")
_RING = re.compile(r"NCCL INFO Pattern 4, .* nChannels [1-9]\d*, .*\btype (\w+)/\w+")
_WARNING = "NCCL WARN"
_NVLS = "NCCL INFO Connected NVLS tree"


@contextlib.contextmanager
def nccl_log(
    several_gpus: bool, environ: MutableMapping[str, str] = os.environ
) -> Iterator[Callable[[], list[str] | None]]:
    """Have NCCL log its start within the block; gives what reads the log so far.

    That returns None where NCCL was not used, as without ``several_gpus``, or its log is the
    user's.
    """
    if not several_gpus or environ.get(_DEBUG, "").upper() not in _QUIET:
        yield lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="trainbench-nccl-") as folder:
        log = Path(folder) / "log"
        # GRAPH says what links GPUs, without which P2P may be NVLink or PCIe.
        own = {_DEBUG: "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET,GRAPH", "NCCL_DEBUG_FILE": str(log)}
        before = {name: environ.get(name) for name in own}
        environ.update(own)
        try:
            yield lambda: nccl_transports(_text(log)) or None
        finally:
            # Where they would have gone.
            sys.stderr.writelines(line for line in _text(log).splitlines(True) if _WARNING in line)
            for name, value in before.items():
                if value is None:
                    environ.pop(name, None)
                else:
                    environ[name] = value


def nccl_transports(log: str) -> list[str]:
    """The kinds of transport in NCCL's log, in alphabetical order, without numbers of devices.

    "P2P/NVL": from GPU to GPU over NVLink, "P2P/PIX" and the like over PCIe (by NCCL's names for
    the farthest link in a ring); "SHM": through the host's memory; "NET/Socket", "NET/IB",
    "NET/IB/GDRDMA": over a network, the last past the host's memory; "COLLNET/SHARP", "NVLS":
    summed by a switch.
    """
    links = sorted(set(_RING.findall(log)))
    found = {_kind(said.strip().split("/"), links) for said in _CHANNEL.findall(log)}
    return sorted(found | ({"NVLS"} if _NVLS in log else set()))


def _kind(said: list[str], links: list[str]) -> str:
    """Of ``P2P/CUMEM/read``, ``SHM/direct``, ``NET/IB/0(1)/GDRDMA`` what tells speeds apart."""
    if said[0] == "P2P":
        return "/".join(["P2P", *links])
    if said[0] in ("NET", "COLLNET"):
        return "/".join([*said[:2], *(["GDRDMA"] if "GDRDMA" in said else [])])
    return said[0]


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
