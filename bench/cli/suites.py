"""The commands that look at suites and run nothing."""

from bench.cli.options import Blocks, Json, Only, PlanDevice, Set, SuiteName, asked_suite
from bench.cli.say import say


def suites(as_json: Json = False) -> None:
    """List the shipped suites."""
    from bench.report.listing import suites_json, suites_text
    from bench.spec.suite import load_suite, shipped_suites

    loaded = [load_suite(name) for name in shipped_suites()]
    say(suites_json(loaded) if as_json else suites_text(loaded))


def plan(
    suite: SuiteName,
    device: PlanDevice = "auto",
    blocks: Blocks = None,
    changes: Set = None,
    only: Only = None,
    as_json: Json = False,
) -> None:
    """Show a suite's variants and trials with a guess of the time; run nothing."""
    from bench.execution.device_kind import device_here
    from bench.execution.estimate import estimator_for
    from bench.report.listing import plan_json, plan_text
    from bench.spec.plan import make_plan

    asked, planned_for = asked_suite(suite, changes, blocks, only), device_here(device)
    planned = make_plan(asked, planned_for.type)
    estimator = estimator_for(planned_for, {cell.id: cell.variant for cell in planned.cells})
    text = plan_json if as_json else plan_text
    say(text(asked, planned, estimator))
