"""Names that the Usage blocks of module docstrings use exist.

Names are looked up in the source code, attributes of objects too. Then another process imports what
the blocks use.
"""

import ast
import builtins
import functools
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MODULES = [*(ROOT / "bench").rglob("*.py"), *(ROOT / "tests/support").rglob("*.py")]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@functools.cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def usage_lines(file: Path) -> list[str]:
    """Return the dedented lines of the Usage block; [] if there is none."""
    docstring = ast.get_docstring(tree_of(file)) or ""
    block = re.search(r"^Usage:\n((?: {4}.*(?:\n|\Z)|\n)+)", docstring, re.MULTILINE)
    return textwrap.dedent(block[1]).splitlines() if block else []


WITH_USAGE = [file for file in MODULES if usage_lines(file)]


def statements(file: Path) -> Iterator[ast.AST]:
    """Yield the Python code of a Usage block: as a whole, else those lines that parse alone."""
    lines = usage_lines(file)
    for text in ("\n".join(lines), *(line.strip() for line in lines)):
        try:
            yield ast.parse(text)
        except SyntaxError:
            continue
        if text.count("\n") == len(lines) - 1:
            return


def file_of_module(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.exists()), None)


@functools.cache
def members(node: ast.Module | ast.ClassDef) -> frozenset[str]:
    """Return the names that a module or class binds: definitions, imports, assigned attributes."""
    names: set[str] = set()
    for child in ast.walk(node):
        if isinstance(child, Definition):
            names.add(child.name)
        elif isinstance(child, ast.alias):
            names.add((child.asname or child.name).split(".")[0])
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names.add(child.id)
        elif isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store):
            names.add(child.attr)
    return frozenset(names)


@functools.cache
def top_level_names() -> frozenset[str]:
    """Return what modules define at their top level, and every builtin."""
    names = {"bench", *dir(builtins)}
    for node in (node for file in MODULES for node in tree_of(file).body):
        if isinstance(node, Definition):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return frozenset(names)


def local_classes(file: Path) -> dict[str, ast.ClassDef]:
    """Return the module's classes that inherit nothing, whose members are therefore all known."""
    nodes = tree_of(file).body
    return {n.name: n for n in nodes if isinstance(n, ast.ClassDef) and not n.bases}


def unknown_names(file: Path) -> Iterator[str]:
    code = list(statements(file))
    nodes = [node for tree in code for node in ast.walk(tree)]
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {a.arg for n in nodes if isinstance(n, ast.arguments) for a in n.args}
    known = bound | members(tree_of(file)) | top_level_names()
    instances = dict(instances_of(nodes, local_classes(file)))
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            source = file_of_module(node.module or "")
            for alias in node.names if source else ():
                if source and alias.name not in members(tree_of(source)):
                    yield f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id not in known:
                yield node.func.id
        elif isinstance(node, ast.Name) and node.id.isupper():
            if node.id not in known:
                yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            if owner in instances and node.attr not in members(instances[owner]):
                yield f"{owner}.{node.attr}"
            if owner == "bench" and node.attr not in members(tree_of(ROOT / "bench/__init__.py")):
                yield f"bench.{node.attr}"


def instances_of(
    nodes: list[ast.AST], classes: dict[str, ast.ClassDef]
) -> Iterator[tuple[str, ast.ClassDef]]:
    """Yield the variables that ``name = Class(...)`` or ``with Class(...) as name`` binds."""
    for node in nodes:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            value: ast.AST = node.value
            target: ast.AST | None = node.targets[0]
        elif isinstance(node, ast.withitem):
            value, target = node.context_expr, node.optional_vars
        else:
            continue
        if isinstance(value, ast.Call) and isinstance(target, ast.Name):
            name = ast.unparse(value.func)
            if name in classes:
                yield target.id, classes[name]


@pytest.mark.parametrize("file", WITH_USAGE, ids=lambda file: str(file.relative_to(ROOT)))
def test_usage_block_uses_existing_names(file: Path) -> None:
    assert not list(unknown_names(file))


@pytest.mark.parametrize("file", WITH_USAGE, ids=lambda file: str(file.relative_to(ROOT)))
def test_usage_block_runs_existing_modules(file: Path) -> None:
    for name in re.findall(r"python -m ([\w.]+)", "\n".join(usage_lines(file))):
        assert file_of_module(name), name


def test_names_of_usage_blocks_can_be_imported() -> None:
    """In another process, since some modules load TensorFlow or Ray."""
    names = {f"{module}:{name}" for file in WITH_USAGE for module, name in names_to_import(file)}
    assert len(names) > 200
    command = [sys.executable, "-c", _IMPORT, *sorted(names)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def names_to_import(file: Path) -> Iterator[tuple[str, str]]:
    """Yield a module and a name for each definition of this package that a Usage block uses."""
    own = {node.name for node in tree_of(file).body if isinstance(node, Definition)}
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for node in (node for tree in statements(file) for node in ast.walk(tree)):
        if isinstance(node, ast.Name) and node.id in own:
            yield module, node.id
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench"):
            yield from ((str(node.module), alias.name) for alias in node.names)


_IMPORT = """
import importlib, sys
for module, _, name in (word.partition(":") for word in sys.argv[1:]):
    if not hasattr(importlib.import_module(module), name):
        print(module, name)
"""
