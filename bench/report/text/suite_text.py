"""Format one suite as text and as JSON: its question, axes, variants and comparisons.

Usage:
    print(suite_text(suite, "bench/suites/quick.toml", "cpu"))
"""

import json
import textwrap
from collections import Counter
from typing import Any

from bench.report.text.escaping import plain
from bench.report.text.number_text import percent, plural
from bench.spec.device import DeviceType
from bench.spec.expand import expand
from bench.spec.pairing import pair_cells
from bench.spec.suite import Suite

_MAX_VARIANTS = 200
_WIDTH = 96
_DEVICES: dict[DeviceType, str] = {"cpu": "CPUs", "gpu": "GPUs"}


def suite_text(suite: Suite, file: str, device: DeviceType) -> str:
    """Describe what ``suite``, read from ``file``, compares on ``device``."""
    cells = expand(suite, device)
    question = [*textwrap.wrap(plain(suite.description), _WIDTH), ""] if suite.description else []
    lines = [plain(suite.name), *question, f"File: {plain(file)}"]
    lines += _section("In every variant", {k: _text(v) for k, v in suite.variant.items()})
    axes = {name: ", ".join(map(_text, values)) for name, values in _axes(suite, device).items()}
    lines += _section("Axes that differ", axes)
    shown = {cell.id: plain(cell.label) for cell in cells[:_MAX_VARIANTS]}
    lines += _section(f"Variants on {_DEVICES[device]}", shown)
    if len(cells) > len(shown):
        lines.append(f"  ... and {len(cells) - len(shown)} more: --json lists all")
    pairs = Counter(p.axis for p in pair_cells(cells, suite, device))
    comparisons = {
        c.axis: f"against {_text(c.baseline)}: {plural(pairs[c.axis], 'pair')} a block"
        for c in suite.compare
    }
    lines += _section("Comparisons", comparisons)
    counts = f"{plural(len(cells), 'variant')}, {plural(suite.blocks, 'block')}"
    if suite.most_blocks > suite.blocks:
        counts += f" and up to {suite.most_blocks}, until ratios are precise to "
        counts += f"±{percent(suite.precision)}"
    return "\n".join([*lines, "", counts])


def suite_json(suite: Suite, file: str, device: DeviceType) -> str:
    """Return the same as JSON."""
    cells = expand(suite, device)
    content = {
        "name": suite.name,
        "description": suite.description,
        "file": file,
        "blocks": suite.blocks,
        "seed": suite.seed,
        "variant": suite.variant,
        "axes": _axes(suite, device),
        "variants": [{"variant_id": cell.id, "label": cell.label} for cell in cells],
        "compare": [comparison.model_dump(mode="json") for comparison in suite.compare],
        "pairs": [p.model_dump(mode="json") for p in pair_cells(cells, suite, device)],
    }
    return json.dumps(content, indent=2)


def _axes(suite: Suite, device: DeviceType) -> dict[str, list[Any]]:
    """Return the settings in which the variants differ, with their values in the suite's order.

    A default that depends on such a setting may differ too, and then counts as one.
    """
    settings: dict[str, list[Any]] = {}
    for cell in expand(suite, device):
        for name, value in cell.variant:
            values = settings.setdefault(name, [])
            if value not in values:
                values.append(value)
    return {name: values for name, values in settings.items() if len(values) > 1}


def _section(title: str, rows: dict[str, str]) -> list[str]:
    if not rows:
        return []
    width = max(map(len, rows))
    lines = ["", title]
    for name, text in rows.items():
        first, *rest = textwrap.wrap(text, _WIDTH - width - 4) or [""]
        lines.append(f"  {name:<{width}}  {first}".rstrip())
        lines += [f"  {'':<{width}}  {line}" for line in rest]
    return lines


def _text(value: Any) -> str:
    return plain(value if isinstance(value, str) else json.dumps(value))
