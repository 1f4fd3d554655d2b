"""The name of a folder cannot control the terminal through a message, table or traceback."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command

STEERING = "caf\udce9\x1b[31mred\n\u202ex"
"""Bytes that are not text, a color, a newline and a mark of direction: a name may have all."""


@pytest.mark.slow
def test_names_of_files_do_not_control_the_terminal(
    command: Command, finished_run: Path, tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / STEERING
    lines = (
        ("run", tiny, "--executor", "simulated", "--out", folder),
        ("report", folder),
        ("show", folder, "b0"),
        ("publish", folder, "fine", "--into", folder),
        ("publish", finished_run, STEERING),
        ("report", f"{folder}3"),
        ("run", f"{folder}3"),
        ("run", tiny, "--set", STEERING),
        ("--debug", "report", f"{folder}3"),
    )
    results = [command(*line) for line in lines]
    assert [result.code for result in results] == [0, 0, 0, 0, 2, 5, 2, 2, 5]
    for result in results:
        message = result.stdout + result.stderr
        assert message.encode()
        assert not set(message) & set("\x1b\u202e\r")
        assert "unexpected" not in message
