"""A run on one machine is safe from a stranger on another machine in the same network."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.nodes import Node, wait_until
from tests.support.gangs import LONG
from tests.support.sample_suites import SINGLE, write_suite

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

STEALS = """
import sys
import tensorflow as tf

server, private, written = sys.argv[1:]
with tf.Graph().as_default():
    read, write = tf.io.read_file(private), tf.io.write_file(written, "by a stranger")
    limit = tf.compat.v1.ConfigProto(operation_timeout_in_ms=10_000)
    with tf.compat.v1.Session(f"grpc://{server}", config=limit) as session:
        print(session.run([read, write]))
"""


def steal(thief: Node, server: str, private: Path, written: Path) -> str:
    """Return the content of a file that a TensorFlow session on ``thief`` reads from the server."""
    words = ["ip", "netns", "exec", thief.name, sys.executable, "-c", STEALS, server]
    done = subprocess.run(
        [*words, str(private), str(written)], capture_output=True, text=True, check=False
    )
    return done.stdout


def test_a_local_run_cannot_be_reached_from_another_machine(
    nodes: tuple[Node, Node], tmp_path: Path
) -> None:
    machine, stranger = nodes
    private, created, log = tmp_path / "private", tmp_path / "made", tmp_path / "log"
    private.write_text("private")
    suite = write_suite(
        tmp_path / "suite.toml", {**SINGLE, "variant": {**SINGLE["variant"], **LONG}}
    )
    process = machine.start("bench", "run", suite, "--out", tmp_path / "run", log=log)
    wait_until(lambda: len(machine.served()) == 2, process, log)
    ports = set(machine.listening())
    assert not [p for p in ports if stranger.reaches(p, machine.address, stranger.address)]
    for port in machine.served():
        assert "private" not in steal(stranger, f"{machine.address}:{port}", private, created)
    assert not created.exists()
    process.terminate()
    assert process.wait(400) == 130
