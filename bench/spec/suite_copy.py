"""Copy a shipped suite to a file for editing.

Usage:
    copy_shipped("quick", Path("mine.toml"), "trainbench 0.1.0")
"""

import json
import tomllib
from pathlib import Path

from bench.errors import SuiteError
from bench.files.disk_space import storage_problem
from bench.spec.suggestion import nearest
from bench.spec.suite import parse_suite, shipped_suites, suite_file


def copy_shipped(name: str, path: Path, origin: str) -> None:
    """Write the shipped suite ``name`` to ``path``, its first line a comment that names ``origin``.

    The copy is named after its file, so that its runs differ in name from the shipped suite's.
    Raises SuiteError if there is no such suite, if ``path`` exists or cannot be written, or if the
    file's name cannot name a suite.
    """
    if name not in (shipped := shipped_suites()):
        raise SuiteError(f"no shipped suite '{name}'{nearest(name, shipped)}")
    text = suite_file(name).read_text(encoding="utf-8")
    text = text.replace(f'name = "{name}"', f"name = {json.dumps(path.stem)}", 1)
    parse_suite(tomllib.loads(text), str(path))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"# Copied from the suite {name} of {origin}.\n{text}")
    except FileExistsError:
        raise SuiteError(f"{path}: already exists: choose another file") from None
    except OSError as error:
        if path.parent.is_dir():
            reason = storage_problem(path, error).removeprefix(f"{path}: ")
        else:
            reason = f"no folder {path.parent}: create that folder, or choose another"
        raise SuiteError(f"{path}: cannot be written: {reason}") from None
    except ValueError as error:
        raise SuiteError(f"{path}: cannot be written: {error}: choose another file") from None
