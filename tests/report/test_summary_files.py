"""The files of a report, and what importing the package loads."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import RunFolderError, StorageError
from bench.report.summary_files import write_report
from tests.support.sample_records import make_run

NAMES = ["summary.csv", "summary.md", "summary.tex"]


def test_a_report_is_written_into_its_run_folder(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    paths = write_report(folder.path)
    assert sorted(path.name for path in paths) == NAMES
    assert {path.parent for path in paths} == {folder.report}
    assert sorted(p.name for p in folder.report.iterdir()) == NAMES


def test_a_report_can_be_written_elsewhere_and_again_with_the_same_bytes(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    out = tmp_path / "some" / "where"
    first = {path: path.read_bytes() for path in write_report(folder.path, out)}
    assert {path: path.read_bytes() for path in write_report(folder.path, out)} == first
    assert not folder.report.exists()


def test_the_error_for_an_unwritable_folder_names_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file: "):
        write_report(folder.path, tmp_path / "file")


def test_only_a_run_folder_has_a_report(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        write_report(tmp_path)


def test_commands_load_analysis_only_when_they_run() -> None:
    modules = "bench.analysis, bench.api, bench.cli.report_commands, bench.cli.run_command, "
    modules += "bench.execution.runner, bench.report.text.listings, bench.report.text.trial_text"
    heavy = "{'tensorflow', 'keras', 'ray', 'pandas', 'pyarrow', 'scipy', 'numpy'}"
    code = f"import sys, {modules}; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
