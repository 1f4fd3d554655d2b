"""Layers import only downward, each heavy library only in its layer, and start-up loads none."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "bench"

LAYERS = {
    "tensorflow": {"training"},
    "keras": {"training"},
    "ray": {"execution"},
    "pynvml": {"measure"},
    "psutil": {"measure"},
    "pandas": {"analysis", "report"},
    "pyarrow": {"analysis", "report"},
    "scipy": {"analysis"},
}
"""The layers that may import each heavy library."""

HEAVY = ["tensorflow", "keras", "ray", "pandas", "pyarrow", "scipy", "numpy"]
"""Libraries that start-up must not load."""

LOADED = f"""
import json, sys
from tests.support.paths import ROOT
code, *words = sys.argv[1:]
sys.argv = ["bench", *words]
try:
    exec(code)
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)
"""

COMMAND = "from bench.cli import main; main()"


def imports_of(file: Path) -> Iterator[str]:
    """Yield the top-level names that a file imports anywhere, by statement or by name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            named = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            yield from (str(name).split(".")[0] for name in named)


@pytest.mark.parametrize("library", LAYERS)
def test_only_its_layer_imports_a_heavy_library(library: str) -> None:
    users = {
        file.relative_to(PACKAGE).parts[0]
        for file in PACKAGE.rglob("*.py")
        if library in imports_of(file)
    }
    assert users <= LAYERS[library]
    assert users, f"no layer imports {library}: remove it from this list and pyproject.toml"


def test_layers_import_only_downward() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import bench", []),
        ("import bench; bench.load_suite, bench.run, bench.Suite, bench.BenchError", []),
        ("import bench.cli", []),
        ("import bench.analysis", []),
        ("import bench.execution.trial_processes.preloader_client", []),
        (COMMAND, ["--help"]),
        (COMMAND, ["run", "--help"]),
        (COMMAND, ["suites"]),
        (COMMAND, ["plan", "quick"]),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else part,
)
def test_start_up_loads_no_heavy_library(code: str, words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, code, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stderr.splitlines()[-1]) == []
