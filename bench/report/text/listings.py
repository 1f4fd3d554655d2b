"""Suites, plans and checked files as text and as JSON.

Usage:
    suites_text(suites)
    plan_text(suite, make_plan(suite))
"""

import dataclasses
import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bench.execution.estimation.estimator import Estimate, Estimator
from bench.execution.gpus.device_kind import DeviceKind
from bench.execution.gpus.device_memory import memory_need, too_large
from bench.measure.host import usable_cores
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.escaping import plain
from bench.report.text.expectation_text import (
    lost_lines,
    needs_text,
    threads_lines,
    time_text,
    too_large_lines,
)
from bench.report.text.jit_text import chosen_text, given_text, slow_lines
from bench.report.text.number_text import duration, plural
from bench.spec.default_jit import xla_slowdown
from bench.spec.expand import Cell
from bench.spec.pairing import lost_baselines, lost_pairs
from bench.spec.plan import Plan
from bench.spec.suite import Suite

if TYPE_CHECKING:
    from bench.datasets.fashion_mnist import FileCheck

_MAX_VARIANTS = 200


def suites_text(suites: Iterable[Suite]) -> str:
    """Each suite's name and what it is for."""
    lines = []
    for suite in suites:
        indent = " " * 16
        about = textwrap.fill(
            plain(suite.description), 96, initial_indent=indent, subsequent_indent=indent
        )
        lines.append(f"{suite.name:<15} {about.strip()}")
    return "\n".join(lines)


def suites_json(suites: Iterable[Suite]) -> str:
    """The same for programs: name, description, blocks."""
    rows = [{"name": s.name, "description": s.description, "blocks": s.blocks} for s in suites]
    return json.dumps(rows, indent=2)


def plan_text(suite: Suite, plan: Plan, estimator: Estimator | None = None) -> str:
    """A plan's variants with their ids, its comparisons, what it takes of time and devices."""
    estimator = estimator or Estimator()
    device, trials, cells = estimator.device, plan.trials, plan.cells
    estimates = {cell.id: estimator(cell.id, cell.variant) for cell in cells}
    large = too_large({cell.id: cell.variant for cell in cells}, device.memory_bytes)
    lines = [": ".join(filter(None, (suite.name, plain(suite.description)))), ""]
    for cell in cells[:_MAX_VARIANTS]:
        guess = duration(estimates[cell.id].trial_s)
        lines.append(f"  {cell.id}  {suite.blocks} x {guess:<8}  {plain(cell.label)}")
    if len(cells) > _MAX_VARIANTS:
        lines.append(f"  ... and {len(cells) - _MAX_VARIANTS} more: --json lists all")
    lines += [
        "",
        f"{plural(len(cells), 'variant')}, {plural(suite.blocks, 'block')}, "
        f"{plural(len(trials), 'trial')}, {plural(len(plan.pairs), 'comparison')} a block",
        time_text(estimates, trials, device),
        needs_text(cell.variant for cell in cells),
        *filter(None, _jit_texts(cells, device)),
        *slow_lines((cell.variant for cell in cells), device),
        *lost_lines(lost_baselines(suite, device.type)),
        *threads_lines((cell.variant for cell in cells), usable_cores()),
        *too_large_lines({cell.id: cell.label for cell in cells}, large, device),
        *map(plain, duplicate_lines(plan.duplicates)),
    ]
    return "\n".join(lines)


def plan_json(suite: Suite, plan: Plan, estimator: Estimator | None = None) -> str:
    """The same for programs, with every trial."""
    estimator = estimator or Estimator()
    estimates = {cell.id: estimator(cell.id, cell.variant) for cell in plan.cells}
    trials = plan.trials
    content = {
        "suite": suite.model_dump(mode="json"),
        "variants": [_variant_row(cell, estimates[cell.id], estimator) for cell in plan.cells],
        "trials": [t.model_dump(mode="json", exclude={"variant"}) for t in trials],
        "pairs": [pair.model_dump(mode="json") for pair in plan.pairs],
        "lost_pairs": [
            pair.model_dump(mode="json") for pair in lost_pairs(suite, estimator.device.type)
        ],
        "duplicates": [each.model_dump(mode="json") for each in plan.duplicates],
        "estimated_s": sum(estimates[trial.variant_id].trial_s for trial in trials),
        "estimated_for": dataclasses.asdict(estimator.device),
    }
    return json.dumps(content, indent=2)


def _jit_texts(cells: Sequence[Cell], device: DeviceKind) -> list[str]:
    return [
        given_text(cell.variant for cell in cells if not cell.uses_default_jit),
        chosen_text((cell.variant for cell in cells if cell.uses_default_jit), device),
    ]


def files_text(checks: "Sequence[FileCheck]") -> str:
    """A line a file: where, and whether it is what it should be."""
    return "\n".join(
        f"{_mark(check)}  {check.place:<16}  {check.path}"
        + (f"  ({check.problem})" if check.problem else "")
        for check in checks
    )


def _mark(check: "FileCheck") -> str:
    if check.ok:
        return "ok  "
    return "none" if check.problem == "no such folder" else "BAD "


def files_json(checks: "Sequence[FileCheck]") -> str:
    """The same for programs."""
    rows = [
        {"path": str(c.path), "place": c.place, "ok": c.ok, "problem": c.problem} for c in checks
    ]
    return json.dumps(rows, indent=2)


def _variant_row(cell: Cell, estimate: Estimate, estimator: Estimator) -> dict[str, Any]:
    variant, device = cell.variant, estimator.device.type
    settings = variant.model_dump(mode="json")
    needed = memory_need(variant)
    return {
        "variant_id": cell.id,
        "label": cell.label,
        **settings,
        "estimated_trial_s": estimate.trial_s,
        "estimate_basis": estimate.basis,
        "estimate_run": estimate.run,
        "needed_memory_bytes": None if needed is None else needed.total_bytes,
        "jit_is_default": cell.uses_default_jit,
        "xla_slowdown": xla_slowdown(variant.workload, variant.jit, device),
    }
