"""Whatever a folder is called, no message, table or traceback steers the terminal with it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Command

STEERING = "caf\udce9\x1b[31mred\n\u202ex"
"""Bytes that are no text, a colour, a line's end and a mark of direction: all may be in a name."""


@pytest.mark.slow
def test_names_of_files_steer_no_terminal(
    command: Command, made: Path, tiny: Path, tmp_path: Path
) -> None:
    named = tmp_path / STEERING
    lines = (
        ("run", tiny, "--executor", "simulated", "--out", named),
        ("report", named),
        ("show", named, "b0"),
        ("publish", named, "fine", "--into", named),
        ("publish", made, STEERING),
        ("report", f"{named}3"),
        ("run", f"{named}3"),
        ("run", tiny, "--set", STEERING),
        ("--debug", "report", f"{named}3"),
    )
    ended = [command(*line) for line in lines]
    assert [done.code for done in ended] == [0, 0, 0, 0, 2, 5, 2, 2, 5]
    for done in ended:
        said = done.stdout + done.stderr
        assert said.encode()
        assert not set(said) & set("\x1b\u202e\r")
        assert "unexpected" not in said
