"""Find the names in a module that may be functions, from its source and without importing it.

Usage:
    names = names_in_source(Path("mine.py"))      # None if only an import could tell
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.files.bounded_reading import MiB, read_file

_MAX_BYTES = 4 * MiB
_LITERALS = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DYNAMIC = frozenset({"__getattr__", "exec", "globals", "locals", "setattr", "vars"})
"""A module that mentions one of these may have names that its source does not show."""


@dataclass
class SourceNames:
    """The names that a module's statements bind and that may be functions."""

    functions: set[str] = field(default_factory=set)
    """Functions defined in the module."""
    others: set[str] = field(default_factory=set)
    """Classes, and names that are assigned or imported from modules."""

    @property
    def every(self) -> set[str]:
        """All names."""
        return self.functions | self.others


def names_in_source(file: Path) -> SourceNames | None:
    """Return the names that the statements of ``file`` bind; None if the module may have more.

    Names that are bound only to modules (``import keras``) or literals (``x = 3``) are left out.

    Raises SyntaxError, with the line, if the file is not valid Python, and OSError.
    """
    content = read_file(file, _MAX_BYTES)
    try:
        tree = ast.parse(content, str(file))
    except (RecursionError, MemoryError):  # nested too deeply for the parser
        return None
    names = SourceNames()
    for node in ast.walk(tree):
        mentioned = getattr(node, "id", None) or getattr(node, "name", None)
        if mentioned in _DYNAMIC or mentioned == "*":
            return None
        if isinstance(node, ast.Global):
            names.others.update(node.names)
    for node in _module_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            names.functions.add(node.name)
        elif isinstance(node, ast.AsyncFunctionDef | ast.ClassDef):
            names.others.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.others.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            names.others.update(alias.asname or alias.name for alias in node.names)
    return names


def _module_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes outside the bodies of functions and classes and assignments of literals."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Assign | ast.AnnAssign) and _is_literal(child):
            continue
        yield child
        if not isinstance(child, _SCOPES):
            yield from _module_nodes(child)


def _is_literal(node: ast.Assign | ast.AnnAssign) -> bool:
    """Return whether names are bound to a literal, or only annotated."""
    if isinstance(node, ast.Assign) and not all(isinstance(t, ast.Name) for t in node.targets):
        return False  # unpacking a tuple may bind names to functions
    return node.value is None or isinstance(node.value, _LITERALS)
