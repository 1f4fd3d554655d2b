"""The commands that show suites and copy one."""

import json
from pathlib import Path

import pytest

from bench.spec.expand import expand
from bench.spec.suite import load_suite, shipped_suites
from tests.cli.conftest import Command, error_line
from tests.support.sample_suites import TINY, write_suite


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_can_be_shown_and_copied(command: Command, name: str) -> None:
    shown = command("suites", name)
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines()[0] == name
    copied = command("copy-suite", name)
    assert (copied.code, copied.stdout) == (0, f"{name}.toml\n")
    assert load_suite(f"./{name}.toml").model_dump() == load_suite(name).model_dump()


def test_a_suite_is_shown_with_its_file_its_axes_and_its_comparisons(
    command: Command, tiny: Path
) -> None:
    shown = command("suites", tiny).stdout
    assert f"File: {tiny}" in shown
    assert TINY["description"] in shown
    for cell in expand(load_suite(tiny)):
        assert f"  {cell.id}  {cell.label}" in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "norm none, bn_post" in lines
    assert "norm against none: 1 pair a block" in lines
    assert "hidden [16]" in lines


def test_device_decides_which_variants_are_shown(command: Command, tmp_path: Path) -> None:
    convnet = {**TINY["variant"], "workload": "convnet", "filters": [2]}
    suite = write_suite(
        tmp_path / "mine.toml", {**TINY, "variant": convnet, "exclude": [{"jit": "none"}]}
    )
    assert command("suites", suite, "--device", "cpu").code == 2
    shown = command("suites", suite, "--device", "gpu").stdout
    content = json.loads(command("suites", suite, "--device", "gpu", "--json").stdout)
    ids = [cell.id for cell in expand(load_suite(suite), "gpu")]
    assert [variant["variant_id"] for variant in content["variants"]] == ids
    assert all(f"  {name}  " in shown for name in ids)
    assert "Variants on GPUs" in shown.splitlines()


def test_a_suite_is_shown_as_json_too(command: Command, tiny: Path) -> None:
    content = json.loads(command("suites", tiny, "--json").stdout)
    ids = [cell.id for cell in expand(load_suite(tiny))]
    assert content["file"] == str(tiny)
    assert content["axes"] == {"norm": ["none", "bn_post"]}
    assert [variant["variant_id"] for variant in content["variants"]] == ids
    assert content["compare"] == [{"axis": "norm", "baseline": "none"}]
    assert len(content["pairs"]) == 1
    assert Path(json.loads(command("suites", "quick", "--json").stdout)["file"]).is_file()


def test_a_copy_is_named_after_its_file_and_names_its_origin(
    command: Command, tmp_path: Path
) -> None:
    assert command("copy-suite", "smoke", "mine.toml").stdout == "mine.toml\n"
    text = (tmp_path / "mine.toml").read_text()
    assert text.startswith("# ")
    assert "smoke" in text.splitlines()[0]
    copy, original = load_suite("mine.toml"), load_suite("smoke")
    assert copy.model_dump() == {**original.model_dump(), "name": "mine"}
    assert command("run", "mine.toml", "--executor", "simulated", "--out", "run").code == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("smoke taken.toml", "taken.toml: already exists"),
        ("smok", "did you mean 'smoke'?"),
        ("taken.toml", "no shipped suite 'taken.toml'"),
        ("smoke a/b.toml", "a/b.toml: cannot be written"),
        ("smoke a/b.toml", "no folder a: create that folder"),
        ("smoke =.toml", "name cannot be '='"),
        ('smoke ".toml', "name cannot be"),
    ],
)
def test_an_impossible_copy_is_refused_and_leaves_no_file(
    command: Command, tmp_path: Path, words: str, reason: str
) -> None:
    (tmp_path / "taken.toml").write_text("mine")
    assert reason in error_line(command("copy-suite", *words.split()), 2)
    assert [file.name for file in tmp_path.iterdir()] == ["taken.toml"]
    assert (tmp_path / "taken.toml").read_text() == "mine"
