"""Waiting for a cluster: what is said where none comes."""

import socket
import subprocess
import sys

import pytest

from bench.errors import ResourceError
from bench.execution.launching.wait_for_nodes import wait_for_nodes


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_cluster_that_never_answers_is_given_up_after_the_time(nobody: str) -> None:
    with pytest.raises(ResourceError, match=f"no Ray answers at {nobody}"):
        wait_for_nodes(2, nobody, timeout_s=0.1)


def test_the_command_says_so_in_one_line_and_exits_with_code_2(nobody: str) -> None:
    words = ["2", "--address", nobody, "--timeout-s", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.execution.launching.wait_for_nodes", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"bench: no Ray answers at {nobody}")
