"""The files of a report, and what importing the package loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.analysis.summary import summarize
from bench.errors import StorageError
from bench.files.folder import Folder
from bench.report.summary_files import write_summary
from tests.support.sample_records import make_run

NAMES = ["summary.csv", "summary.md", "summary.tex"]


def test_tables_are_written_into_a_new_folder_and_again_with_the_same_bytes(tmp_path: Path) -> None:
    summary, out = summarize(make_run(tmp_path / "run").path), tmp_path / "some" / "where"
    first = {path: path.read_bytes() for path in write_summary(summary, Folder(out))}
    assert sorted(path.name for path in first) == NAMES
    assert sorted(first) == sorted(out.iterdir())
    assert {path: path.read_bytes() for path in write_summary(summary, Folder(out))} == first


def test_the_error_for_an_unwritable_folder_names_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file: "):
        write_summary(summarize(folder.path), Folder(tmp_path / "file"))


def test_commands_load_analysis_only_when_they_run() -> None:
    modules = "bench.analysis, bench.api, bench.cli.report_commands, bench.cli.run_command, "
    modules += "bench.execution.runner, bench.report.text.listings, bench.report.text.trial_text"
    heavy = "{'tensorflow', 'keras', 'ray', 'pandas', 'pyarrow', 'scipy', 'numpy'}"
    code = f"import sys, {modules}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
