"""A module runs as this process would run it: from the same places, none of them by chance."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.execution.python_command import module_command

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
