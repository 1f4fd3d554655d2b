"""Invalid suites: one line on stderr, exit code 2, nothing is started."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, error_line
from tests.support.other_users import SPECIAL, plant
from tests.support.sample_suites import TINY, write_suite


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_an_unknown_suite_is_refused_with_the_nearest_shipped_one(
    command: Command, verb: str
) -> None:
    reason = error_line(command(verb, "quikc"), 2)
    assert reason == "no suite 'quikc', shipped or as a file: did you mean 'quick'?"


def test_a_file_in_the_same_folder_is_suggested_too(command: Command, tiny: Path) -> None:
    message = error_line(command("plan", tiny.with_suffix(".tml")), 2)
    assert message.endswith(f"did you mean '{tiny}'?")


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_directory_is_not_a_suite(command: Command, tmp_path: Path, verb: str) -> None:
    (tmp_path / "folder").mkdir()
    assert error_line(command(verb, "folder"), 2) == "folder: is a directory: name a TOML file"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"name = ", "not valid TOML"),
        (b"[" * 100_000, "not valid TOML"),
        (b"\x00", "not valid TOML"),
        (b'name = "x"\nblocks = ' + b"9" * 5_000, "not valid TOML"),
        (b'name = "x"\nblocks = 0x' + b"f" * 5_000, "not valid TOML"),
        (b"a." * 50_000 + b"a = 1", "not valid TOML"),
        (b'name = "x"\n#' + b"x" * 2**20, "is larger than 1 MiB"),
        (b"", "name is missing: add name = ..."),
    ],
)
def test_a_file_that_is_not_a_suite_is_refused_by_name(
    command: Command, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    message = error_line(command("plan", "bad.toml"), 2)
    assert message.startswith("bad.toml: ")
    assert reason in message


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_an_endless_file_is_not_a_suite(command: Command, tmp_path: Path, kind: str) -> None:
    plant(kind, tmp_path / "bad.toml")
    assert error_line(command("plan", "bad.toml"), 2).startswith("bad.toml: ")


@pytest.mark.parametrize("value", ["[" * 10_000, "9" * 5_000, "0x" + "f" * 5_000])
def test_a_value_that_no_parser_reads_is_refused(command: Command, value: str) -> None:
    assert command("plan", "quick", "--set", f"epochs={value}").code == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nmae": "x"}, "unknown key 'nmae': did you mean 'name'?"),
        ({"name": "a/b"}, "name"),
        ({"epochs": 3}, "move it to [variant]"),
        ({"variant": {"blocks": 3}}, "move it above [variant]"),
        ({"matrix": {"blocks": [3]}}, "move it above [matrix]"),
        ({"variant": {"norm": ["none", "bn_post"]}}, "move it to [matrix]"),
        ({"variant": {"norm": ["none", "bn_pst"]}}, "did you mean 'bn_post'?"),
        ({"variants": [{"norm": ["none"]}]}, "write a [[variants]] table for each"),
        ({"variants": [{"labels": "x"}]}, "did you mean 'label'?"),
        ({"exclude": [{"norm": ["none"]}]}, "write an [[exclude]] table for each"),
        ({"blocks": "3"}, "blocks"),
        ({"variant": {"epoch": 2}}, "unknown key 'epoch': did you mean 'epochs'?"),
        ({"variant": {"activation": "rleu"}}, "did you mean 'relu'?"),
        ({"variant": {"hidden": [0]}}, "hidden"),
        ({"variant": {"global_batch_size": -1}}, "global_batch_size"),
        ({"variant": {"global_batch_size": 300, "examples": 256}}, "is larger than the data"),
        ({"variant": {"epochs": 1, "warmup_epochs": 1}}, "warmup_epochs"),
        ({"matrix": {"norm": []}}, "norm is an empty list"),
        ({"matrix": {"norm": "none"}}, "write norm = ["),
        ({"matrix": {"examples": list(range(1, 60_001))}}, "more than 100000"),
        ({"exclude": [{"dataset": "synthetic"}]}, "no variant is left"),
        ({"compare": [{"axis": "norm", "baseline": "group"}]}, "norm"),
        ({"compare": [{"axis": "nrom", "baseline": "none"}]}, "did you mean 'norm'?"),
        ({"compare": [{"axis": "norm"}]}, "baseline is missing"),
    ],
)
def test_an_invalid_suite_is_refused_with_the_file_and_what_to_write(
    command: Command, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    write_suite(tmp_path / "bad.toml", {**TINY, **change})
    message = error_line(command("plan", "bad.toml"), 2)
    assert message.startswith("bad.toml: ")
    assert reason in message


def test_an_invalid_suite_leaves_no_run_folder(command: Command, tmp_path: Path) -> None:
    write_suite(tmp_path / "bad.toml", {**TINY, "variant": {"epochs": 0}})
    error_line(command("run", "bad.toml", "--out", "made"), 2)
    error_line(command("run", "bad.toml"), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]
