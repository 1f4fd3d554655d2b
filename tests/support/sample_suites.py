"""Provide suites so small that training takes almost no time.

Usage:
    suite = suite_of(TINY, epochs=3)                 # a key of [variant] replaced
    path = write_suite(tmp_path / "tiny.toml", TINY)     # the same as a file
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.spec.suite import Suite, parse_suite

TINY: dict[str, Any] = {
    "name": "tiny",
    "description": "Does it run?",
    "blocks": 2,
    "seed": 3,
    "variant": {
        "dataset": "synthetic",
        "shape": [4, 4, 1],
        "examples": 256,
        "hidden": [16],
        "epochs": 2,
    },
    "matrix": {"norm": ["none", "bn_post"]},
    "compare": [{"axis": "norm", "baseline": "none"}],
}
"""Four trials in two blocks."""

SINGLE: dict[str, Any] = {**TINY, "name": "single", "blocks": 1, "matrix": {}, "compare": []}
"""One trial."""

ENDLESS: dict[str, Any] = {
    **SINGLE,
    "name": "endless",
    "variant": {**SINGLE["variant"], "epochs": 20_000, "jit": "none"},
}
"""One trial with many short epochs, which something else ends."""

SHORT_AND_LONG: dict[str, Any] = {
    **SINGLE,
    "name": "short-and-long",
    "variants": [{"label": "short"}, {"label": "long", "epochs": 8000, "jit": "none"}],
}
"""A trial that ends, then one that is still running when a test ends the run."""


def suite_of(content: Mapping[str, Any], **settings: Any) -> Suite:
    """Return the suite of ``content``, with ``settings`` in its ``[variant]``."""
    return parse_suite({**content, "variant": {**content["variant"], **settings}})


def write_suite(path: Path, content: Mapping[str, Any]) -> Path:
    """Write ``content`` as a suite's file at ``path``."""
    path.write_text("".join(_lines(content)), encoding="utf-8")
    return path


def _lines(content: Mapping[str, Any], parent: str = "") -> list[str]:
    # JSON's texts, numbers, lists and truth values are TOML's too.
    plain = [f"{k} = {json.dumps(v)}\n" for k, v in content.items() if not _is_table(v)]
    tables = []
    for key, value in content.items():
        if isinstance(value, dict):
            tables += [f"[{parent}{key}]\n", *_lines(value, f"{parent}{key}.")]
        elif _is_table(value):
            tables += [line for item in value for line in (f"[[{key}]]\n", *_lines(item))]
    return plain + tables


def _is_table(value: Any) -> bool:
    items = value if isinstance(value, list) and value else [value]
    return all(isinstance(item, dict) for item in items)
