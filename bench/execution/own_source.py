"""Which names a module of somebody's own has, read from its source and not imported.

Usage:
    names = names_of(Path("mine.py"))      # None where only an import could tell
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from bench.files.reading import MiB, read_file

_MOST_BYTES = 4 * MiB
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DYNAMIC = frozenset({"__getattr__", "exec", "globals", "locals", "setattr", "vars"})
"""Where one of these is mentioned, a module may have names that nobody wrote in it."""


def names_of(file: Path) -> set[str] | None:
    """What the statements of ``file`` bind in its module; None where it may have more.

    Raises SyntaxError, with its line, where that is no Python, and OSError.
    """
    content = read_file(file, _MOST_BYTES)
    try:
        tree = ast.parse(content, str(file))
    except (RecursionError, MemoryError):  # nested too deeply for the parser
        return None
    found: set[str] = set()
    for node in ast.walk(tree):
        mentioned = getattr(node, "id", None) or getattr(node, "name", None)
        if mentioned in _DYNAMIC or mentioned == "*":
            return None
        if isinstance(node, ast.Global):
            found.update(node.names)
    for node in _of_module(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
    return found


def _of_module(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that are in no function's or class's body."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        ):
            yield from _of_module(child)
