"""Put in a file's place what a stranger might put there.

Usage:
    plant("pipe", folder / "run.json")
    @pytest.mark.parametrize("kind", KINDS)
"""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

_HUGE_BYTES = 2**40


def plant(kind: str, path: Path) -> None:
    """Replace what is at ``path`` by something of that ``kind``."""
    path.unlink(missing_ok=True)
    _MAKERS[kind](path)


def _device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes a device")


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    try:  # a socket's own path is of at most 107 bytes
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, _HUGE_BYTES)


_MAKERS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": _socket,
    "device": _device,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "folder": Path.mkdir,
    "huge": _huge,
}
KINDS = tuple(_MAKERS)
"""No file of a run has one of these values."""
SPECIAL = ("pipe", "socket", "device")
