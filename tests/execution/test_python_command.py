"""A module runs as this process would run it: from the same places, none of them by chance."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.execution.python_command import command_under, module_command

SAYS = "import json, sys\nprint(json.dumps([__name__, sys.path, sys.argv]))\n"


def test_a_module_is_found_where_this_process_finds_it_and_not_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, strangers = tmp_path / "ours", tmp_path / "strangers"
    for folder, content in ((ours, SAYS), (strangers, "raise SystemExit(7)")):
        folder.mkdir()
        (folder / "says.py").write_text(content)
    for name in ("json.py", "runpy.py"):
        (strangers / name).write_text("raise SystemExit(7)")
    monkeypatch.setattr(sys, "path", [str(ours), *filter(None, sys.path)])
    done = subprocess.run(
        module_command("says", "a word"), cwd=strangers, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["__main__", sys.path, [sys.argv[0], "a word"]]


def test_a_package_is_imported_from_its_folder_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("")
    (tmp_path / "bench" / "says.py").write_text("import json\nprint(__file__)\n")
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    for interpreter in (None, sys.executable):
        command = command_under(interpreter, tmp_path, "bench.says")
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(tmp_path / "bench" / "says.py")
        # A module that this package has and that one lacks is missing.
        command = command_under(interpreter, tmp_path, "bench.errors")
        failed = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "No module named bench.errors" in failed.stderr.replace("'", "")
