"""Which names of a module of somebody's own may be functions, read from its source, not imported.

Usage:
    names = names_in_source(Path("mine.py"))      # None where only an import could tell
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.files.bounded_reading import MiB, read_file

_MOST_BYTES = 4 * MiB
_LITERALS = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DYNAMIC = frozenset({"__getattr__", "exec", "globals", "locals", "setattr", "vars"})
"""Where one of these is mentioned, a module may have names that nobody wrote in it."""


@dataclass
class SourceNames:
    """What a module's statements bind, without what can be no function."""

    functions: set[str] = field(default_factory=set)
    """Those defined there."""
    others: set[str] = field(default_factory=set)
    """What is imported from modules, assigned, and classes."""

    @property
    def every(self) -> set[str]:
        """Both."""
        return self.functions | self.others


def names_in_source(file: Path) -> SourceNames | None:
    """What the statements of ``file`` bind in its module; None where it may have more.

    Names that are bound only to modules (``import keras``) or literals (``x = 3``) are left out.

    Raises SyntaxError, with its line, where that is no Python, and OSError.
    """
    content = read_file(file, _MOST_BYTES)
    try:
        tree = ast.parse(content, str(file))
    except (RecursionError, MemoryError):  # nested too deeply for the parser
        return None
    found = SourceNames()
    for node in ast.walk(tree):
        mentioned = getattr(node, "id", None) or getattr(node, "name", None)
        if mentioned in _DYNAMIC or mentioned == "*":
            return None
        if isinstance(node, ast.Global):
            found.others.update(node.names)
    for node in _of_module(tree):
        if isinstance(node, ast.FunctionDef):
            found.functions.add(node.name)
        elif isinstance(node, ast.AsyncFunctionDef | ast.ClassDef):
            found.others.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.others.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            found.others.update(alias.asname or alias.name for alias in node.names)
    return found


def _of_module(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes that are in no function's or class's body, and in no assignment of a literal."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Assign | ast.AnnAssign) and _is_literal(child):
            continue
        yield child
        if not isinstance(child, _SCOPES):
            yield from _of_module(child)


def _is_literal(node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether names are bound to a literal, or, by an annotation alone, to nothing."""
    if isinstance(node, ast.Assign) and not all(isinstance(t, ast.Name) for t in node.targets):
        return False  # a tuple of names may take functions out of one of values
    return node.value is None or isinstance(node.value, _LITERALS)
