"""Format suites, plans and checked data files as text and as JSON.

Usage:
    suites_text(suites)
    plan_text(suite, make_plan(suite))
"""

import dataclasses
import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bench.execution.estimation.device_memory import memory_need, too_large
from bench.execution.estimation.estimator import Estimate, Estimator
from bench.execution.gpus.device_kind import DeviceKind
from bench.measure.host import usable_cores
from bench.report.text.duplicate_text import duplicate_lines
from bench.report.text.escaping import plain
from bench.report.text.expectation_text import (
    lost_baseline_warnings,
    memory_warnings,
    precision_texts,
    resource_text,
    thread_warnings,
    time_text,
)
from bench.report.text.jit_text import default_jit_text, slow_jit_warnings, suite_jit_text
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
    """Return the name and the description of each suite."""
    lines = []
    for suite in suites:
        indent = " " * 16
        description = textwrap.fill(
            plain(suite.description), 96, initial_indent=indent, subsequent_indent=indent
        )
        lines.append(f"{suite.name:<15} {description.strip()}")
    return "\n".join(lines)


def suites_json(suites: Iterable[Suite]) -> str:
    """Return the same as JSON: name, description and blocks of each suite."""
    rows = [{"name": s.name, "description": s.description, "blocks": s.blocks} for s in suites]
    return json.dumps(rows, indent=2)


def plan_text(suite: Suite, plan: Plan, estimator: Estimator | None = None) -> str:
    """Describe a plan: variants with their ids, comparisons, time, devices and warnings."""
    estimator = estimator or Estimator()
    device, trials, cells = estimator.device, plan.trials, plan.cells
    estimates = {cell.id: estimator(cell.id, cell.variant) for cell in cells}
    estimated_s = sum(estimates[trial.variant_id].trial_s for trial in trials)
    large = too_large({cell.id: cell.variant for cell in cells}, device.memory_bytes)
    lines = [": ".join(filter(None, (suite.name, plain(suite.description)))), ""]
    for cell in cells[:_MAX_VARIANTS]:
        time = duration(estimates[cell.id].trial_s)
        lines.append(f"  {cell.id}  {suite.blocks} x {time:<8}  {plain(cell.label)}")
    if len(cells) > _MAX_VARIANTS:
        lines.append(f"  ... and {len(cells) - _MAX_VARIANTS} more: --json lists all")
    lines += [
        "",
        f"{plural(len(cells), 'variant')}, {plural(suite.blocks, 'block')}, "
        f"{plural(len(trials), 'trial')}, {plural(len(plan.pairs), 'comparison')} a block",
        time_text(estimates, trials, device),
        *precision_texts(suite, estimated_s / suite.blocks),
        resource_text(cell.variant for cell in cells),
        *filter(None, _jit_texts(cells, device)),
        *slow_jit_warnings((cell.variant for cell in cells), device),
        *lost_baseline_warnings(lost_baselines(suite, device.type)),
        *thread_warnings((cell.variant for cell in cells), usable_cores()),
        *memory_warnings({cell.id: cell.label for cell in cells}, large, device),
        *map(plain, duplicate_lines(plan.duplicates)),
    ]
    return "\n".join(lines)


def plan_json(suite: Suite, plan: Plan, estimator: Estimator | None = None) -> str:
    """Return the same as JSON, with every trial."""
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
        suite_jit_text(cell.variant for cell in cells if not cell.uses_default_jit),
        default_jit_text((cell.variant for cell in cells if cell.uses_default_jit), device),
    ]


def files_text(checks: "Sequence[FileCheck]") -> str:
    """Return one line per file: where it is, and what is wrong with it, if anything."""
    return "\n".join(
        f"{_mark(check)}  {check.folder_name:<16}  {check.path}"
        + (f"  ({check.problem})" if check.problem else "")
        for check in checks
    )


def _mark(check: "FileCheck") -> str:
    if check.ok:
        return "ok  "
    return "none" if check.problem == "no such folder" else "BAD "


def files_json(checks: "Sequence[FileCheck]") -> str:
    """Return the same as JSON."""
    rows = [
        {"path": str(c.path), "place": c.folder_name, "ok": c.ok, "problem": c.problem}
        for c in checks
    ]
    return json.dumps(rows, indent=2)


def _variant_row(cell: Cell, estimate: Estimate, estimator: Estimator) -> dict[str, Any]:
    variant, device = cell.variant, estimator.device.type
    settings = variant.model_dump(mode="json")
    need = memory_need(variant)
    return {
        "variant_id": cell.id,
        "label": cell.label,
        **settings,
        "estimated_trial_s": estimate.trial_s,
        "estimate_basis": estimate.basis,
        "estimate_run": estimate.run,
        "needed_memory_bytes": None if need is None else need.total_bytes,
        "jit_is_default": cell.uses_default_jit,
        "xla_slowdown": xla_slowdown(variant.workload, variant.jit, device),
    }
