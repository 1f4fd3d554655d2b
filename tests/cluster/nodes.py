"""Run two Ray nodes in separate network namespaces, joined by a cable that can be cut.

Usage:
    with cable() as (head, other), started_node(head), started_node(other):
        head.bench("run", suite, "--address", head.ray)

Needs root and iproute2. Everything that runs in a namespace is ended before it is deleted.
"""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.paths import ROOT

BIN = Path(sys.executable).parent
PATIENCE_S = 240.0
_PORT = 6379
_NUMBERS = itertools.count()
_OF_WORKERS = range(20_000, 32_768)
"""Above the ports that Ray assigns, below those that the system assigns."""
_CONNECTS = """
import socket, sys
from tests.support.paths import ROOT
host, port, source = sys.argv[1:]
socket.create_connection((host, int(port)), timeout=3, source_address=(source, 0))
"""
NETWORK = "10.77.0.0/24"
SETTINGS = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}


def health_checks(file: str) -> dict[str, str]:
    """Return the head's settings for detecting lost nodes in a file of clusters/."""
    text = (ROOT / "clusters" / file).read_text()
    return dict(re.findall(r"(RAY_health_check_\w+)(?:=|, value: \")(\d+)", text))


def lost_within_s(checks: Mapping[str, str]) -> float:
    """Return after how many seconds at most an unresponsive node counts as lost."""
    waits_ms = sum(int(checks[f"RAY_health_check_{name}_ms"]) for name in ("timeout", "period"))
    return int(checks["RAY_health_check_failure_threshold"]) * waits_ms / 1000


@dataclass(frozen=True)
class Node:
    """A network namespace with an address, and a folder for Ray's files."""

    name: str
    address: str
    head: str
    folder: Path
    begun: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def ray(self) -> str:
        """Return the address of the cluster's head."""
        return f"{self.head}:{_PORT}"

    def start(
        self, *words: str | Path, log: Path, env: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a program of this environment in the namespace, outside the checkout."""
        command = ["ip", "netns", "exec", self.name, str(BIN / words[0]), *map(str, words[1:])]
        outside = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        token = {"RAY_AUTH_TOKEN_PATH": str(self.folder.parent / "token")}
        with log.open("ab") as written:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**outside, **SETTINGS, **token, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,
            )
        self.begun.append(process)
        return process

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Return the namespace's processes: all, or those with ``name`` in name or command."""
        processes = []
        for pid in _ip("netns", "pids", self.name).split():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(int(pid))
                if name in " ".join([process.name(), *process.cmdline()]):
                    processes.append(process)
        return processes

    def kill(self) -> None:
        """End everything that runs in the namespace, at once."""
        while left := [p for p in self.processes() if p.status() != psutil.STATUS_ZOMBIE]:
            for running in left:
                with contextlib.suppress(psutil.Error):
                    running.send_signal(signal.SIGKILL)
            time.sleep(0.1)
        for process in self.begun:
            process.wait()

    def plug(self, state: str) -> None:
        """Set the node's end of the cable "up" or "down"."""
        _ip("-n", self.name, "link", "set", "cable", state)

    def listening(self) -> list[int]:
        """Return the port of each listening socket."""
        lines = _ip("netns", "exec", self.name, "ss", "-Hltn").splitlines()
        return [int(line.split()[3].rpartition(":")[2]) for line in lines]

    def served(self) -> list[int]:
        """Return the ports on which TensorFlow listens beside the guard's sockets."""
        ports = Counter(self.listening())
        return [port for port, sockets in ports.items() if sockets > 1 and port in _OF_WORKERS]

    def serves(self) -> bool:
        """Return whether a worker here listens for its peers, because TensorFlow has started."""
        return bool(self.served())

    def reaches(self, port: int, of: str, source: str) -> bool:
        """Return whether an address of this node can connect to a port elsewhere."""
        arguments = [str(BIN / "python"), "-c", _CONNECTS, of, str(port), source]
        command = ["ip", "netns", "exec", self.name, *arguments]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def add_address(self, address: str) -> None:
        """Give the node's end of the cable another address."""
        _ip("-n", self.name, "address", "add", f"{address}/24", "dev", "cable")


@contextlib.contextmanager
def cable(folder: Path) -> Iterator[tuple[Node, Node]]:
    """Join two namespaces; delete them at the end with all their processes."""
    number = next(_NUMBERS)
    nodes = []
    try:
        for side, address in (("a", "10.77.0.1"), ("b", "10.77.0.2")):
            name = f"bench{os.getpid()}{side}{number}"
            _ip("netns", "add", name)
            (folder / side).mkdir()
            nodes.append(Node(name, address, "10.77.0.1", folder / side))
        (folder / "token").write_text("0123456789abcdef" * 4)
        first, second = nodes
        ends = ("cable", "netns", first.name), ("cable", "netns", second.name)
        _ip("link", "add", *ends[0], "type", "veth", "peer", "name", *ends[1])
        for node in nodes:
            node.add_address(node.address)
            _ip("-n", node.name, "link", "set", "lo", "up")
            node.plug("up")
        yield first, second
    finally:
        for node in nodes:
            node.kill()
            _ip("netns", "delete", node.name)


def start_ray(node: Node, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start Ray on a node with one core and ``env``; return once it is up."""
    place, role, checks = f"--address={node.ray}", [], {}
    if node.address == node.head:
        place, role = f"--port={_PORT}", ["--head", "--include-dashboard=false"]
        checks = health_checks("onprem.yaml")
    log = node.folder / "ray.log"
    log.write_text("")
    process = node.start(
        *("ray", "start", "--block", place, *role, f"--node-ip-address={node.address}"),
        *("--num-cpus=1", f"--temp-dir={node.folder}", "--disable-usage-stats"),
        log=log,
        env={**checks, **(env or {})},
    )
    wait_until(lambda: "Ray runtime started" in log.read_text(), process, log)
    return process


def certificates(folder: Path, *addresses: str) -> dict[str, str]:
    """Make a certificate for these addresses; return the variables with which Ray encrypts."""
    files = {name: str(folder / f"tls.{name}") for name in ("key", "crt")}
    names = ",".join(f"IP:{address}" for address in ("127.0.0.1", *addresses))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=ray"),
            *("-addext", f"subjectAltName={names}", "-days", "2"),
            *("-keyout", files["key"], "-out", files["crt"]),
        ],
        check=True,
        capture_output=True,
    )
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": files["crt"],
        "RAY_TLS_SERVER_KEY": files["key"],
        "RAY_TLS_CA_CERT": files["crt"],
    }


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a condition holds, while ``process``, which writes to ``log``, lives."""
    ends = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.2)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
    return done.stdout
