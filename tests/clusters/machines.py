"""Simulate machines with separate networks, processes, names and /tmp, connected by ssh.

Usage:
    with machines(tmp_path, 2) as (laptop, (head, worker)):
        laptop.run("ssh", ..., head.address, "true")

Each is a set of Linux namespaces. Everything in one ends with its first process, so that
nothing is left behind, and `ray stop`, which ends all of Ray that it sees, sees only its own.
They share the file system, and in it the empty folder /srv, but for /tmp, /run and /mnt, where
their homes are; the source is at its own path wherever it is.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray

from tests.support.paths import ROOT

HOME = Path("/mnt/home")
KEY = Path("/mnt/key")
_BOOT = """
hostname "$3" && cd "$4" && mount -t proc proc /proc && mount --bind "$2" /srv &&
mount --bind "$1" /mnt && mount --bind /mnt/tmp /tmp &&
{ test -e "$4/pyproject.toml" ||
  { mkdir -p "$4" && mount --no-canonicalize --bind /proc/self/cwd "$4"; } } &&
for file in hosts passwd resolv.conf; do mount --bind "/mnt/$file" "/etc/$file" || exit; done &&
mount -t tmpfs tmpfs /run && mkdir /run/sshd && ip link set lo up && touch /mnt/booted &&
if test -e /mnt/sshd_config; then exec /usr/sbin/sshd -D -f /mnt/sshd_config -E /mnt/sshd.log
else exec sleep infinity; fi
"""
_PASSWD = f"root:x:0:0::{HOME}:/bin/bash\nsshd:x:100:65534::/:/bin/false\n"
"""ssh reads ~ from there, whatever HOME says."""
_SSHD_CONFIG = """\
HostKey /mnt/host_key
AuthorizedKeysFile /mnt/key.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
SetEnv PIP_NO_INDEX=1 BENCH_CACHE_DIR=/mnt/cache
"""


@dataclass(frozen=True)
class Machine:
    """A machine's address, its folder (seen as /mnt from inside) and its first process."""

    address: str
    folder: Path
    pid: int

    def run(
        self, *words: str | Path, env: Mapping[str, str] | None = None, timeout_s: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, from the root of the source, with the machine's home folder."""
        return subprocess.run(
            self._entering(words),
            env={**_environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    @contextlib.contextmanager
    def running(self, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run the same command within the block; its output goes to ``output`` in its folder."""
        none, both = subprocess.DEVNULL, subprocess.STDOUT
        with (
            (self.folder / "output").open("wb") as output,
            subprocess.Popen(
                self._entering(words), env=_environment(), stdin=none, stdout=output, stderr=both
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def _entering(self, words: Sequence[str | Path]) -> list[str]:
        enter = ["nsenter", f"--target={self.pid}", "--net", "--pid", "--mount", "--uts"]
        return [*enter, f"--wd={ROOT}", *map(str, words)]


def _environment() -> dict[str, str]:
    return {**os.environ, "HOME": str(HOME), "RAY_TMPDIR": "/tmp"}


@contextlib.contextmanager
def machines(folder: Path, count: int) -> Iterator[tuple[Machine, Sequence[Machine]]]:
    """Start a laptop, and ``count`` machines with ssh servers that accept its ``KEY``."""
    with contextlib.ExitStack() as stack:
        laptop = stack.enter_context(_machine(folder / "laptop", "10.99.0.254"))
        _ip(laptop, "link", "add", "lan", "type", "bridge")
        _ip(laptop, "address", "add", f"{laptop.address}/24", "dev", "lan")
        _ip(laptop, "link", "set", "lan", "up")
        _keygen(laptop.folder / "key")
        key = (laptop.folder / "key.pub").read_text()
        nodes = []
        for number in range(1, count + 1):
            place = folder / f"node{number}"
            nodes.append(stack.enter_context(_machine(place, f"10.99.0.{number}", key)))
            _connect(laptop, nodes[-1], f"port{number}")
        yield laptop, nodes


@contextlib.contextmanager
def _machine(folder: Path, address: str, key: str = "") -> Iterator[Machine]:
    for place in (folder / "home", folder / "tmp", folder.parent / "shared"):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "home/.bashrc").touch()
    (folder / "passwd").write_text(_PASSWD)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {folder.name}\n")
    (folder / "resolv.conf").touch()  # or each look-up of a name would wait for an answer
    if key:
        _keygen(folder / "host_key")
        (folder / "key.pub").write_text(key)
        (folder / "sshd_config").write_text(_SSHD_CONFIG)
    isolation = ["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child"]
    seen = [str(folder), str(folder.parent / "shared"), folder.name, str(ROOT)]
    boot = [*isolation, "sh", "-c", _BOOT, "boot", *seen]
    first = subprocess.Popen(boot, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not (folder / "booted").exists():
            assert first.poll() is None and time.monotonic() < deadline, "it did not boot"
            time.sleep(0.05)
        inner = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        yield Machine(address, folder, int(inner[0]))
    finally:
        first.kill()
        first.wait()


def _connect(laptop: Machine, node: Machine, port: str) -> None:
    _ip(laptop, "link", "add", port, "type", "veth", "peer", "name", f"{port}x")
    outside = ["nsenter", f"--target={laptop.pid}", "--net"]
    move = ["ip", "link", "set", f"{port}x", "netns", str(node.pid)]
    subprocess.run([*outside, *move], check=True)
    _ip(laptop, "link", "set", port, "master", "lan", "up")
    _ip(node, "link", "set", f"{port}x", "name", "eth0")
    _ip(node, "address", "add", f"{node.address}/24", "dev", "eth0")
    _ip(node, "link", "set", "eth0", "up")
    _ip(node, "route", "add", "default", "via", laptop.address)


def _ip(machine: Machine, *words: str) -> None:
    done = machine.run("ip", *words)
    assert done.returncode == 0, done.stderr


def _keygen(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)


def give_environment(machine: Machine) -> None:
    """Make an environment in its home with all that the package needs, as if installed.

    So that the setup of a file in clusters/ has nothing left to fetch, and installs the package.
    """
    folder = machine.folder / "home/trainbench/.venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    here = Path(ray.__file__).parents[1]
    (site_packages / "here.pth").write_text(f"{here}\n")
    for name, module in (("pip", "pip"), ("ray", "ray.scripts.scripts")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {HOME}/trainbench/.venv/bin/python -m {module} "$@"\n')
        script.chmod(0o755)
