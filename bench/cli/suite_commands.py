"""The commands that show suites and run nothing."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.completion import suite_names
from bench.cli.options import (
    Blocks,
    Json,
    Only,
    PlanDevice,
    Set,
    SuiteName,
    expand_home,
    load_selected_suite,
    parse_path,
)
from bench.cli.output import print_result
from bench.cli.version import trainbench_version


def suites(
    suite: Annotated[
        str | None,
        typer.Argument(
            metavar="[SUITE]",
            help="A shipped suite, or a file; without it, the shipped suites are listed.",
            autocompletion=suite_names,
            callback=expand_home,
        ),
    ] = None,
    device: PlanDevice = "auto",
    as_json: Json = False,
) -> None:
    """List the shipped suites, or show one."""
    from bench.execution.gpus.device_kind import local_device
    from bench.report.text.listings import suites_json, suites_text
    from bench.report.text.suite_text import suite_json, suite_text
    from bench.spec.suite import load_suite, shipped_suites, suite_file

    if suite is None:
        loaded = [load_suite(name) for name in shipped_suites()]
        print_result(suites_json(loaded) if as_json else suites_text(loaded))
    else:
        text = suite_json if as_json else suite_text
        print_result(text(load_suite(suite), str(suite_file(suite)), local_device(device).type))


def copy_suite(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A shipped suite.", autocompletion=suite_names),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The new file (default: NAME.toml here).", parser=parse_path
        ),
    ] = None,
) -> None:
    """Copy a shipped suite, to edit and run it."""
    from bench.spec.suite_copy import copy_shipped

    path = file or Path(f"{name}.toml")
    copy_shipped(name, path, f"trainbench {trainbench_version()}")
    print_result(str(path))


def plan(
    suite: SuiteName,
    device: PlanDevice = "auto",
    blocks: Blocks = None,
    changes: Set = None,
    only: Only = None,
    as_json: Json = False,
) -> None:
    """Show what a suite would run, and estimate the time."""
    from bench.execution.custom_workloads.workload_check import check_workloads
    from bench.execution.estimation.estimator import make_estimator
    from bench.execution.gpus.device_kind import local_device
    from bench.report.text.listings import plan_json, plan_text
    from bench.spec.plan import make_plan

    requested = load_selected_suite(suite, changes, blocks, only)
    target = local_device(device)
    planned = make_plan(requested, target.type)
    check_workloads(planned.trials, requested)
    estimator = make_estimator(target, {cell.id: cell.variant for cell in planned.cells})
    text = plan_json if as_json else plan_text
    print_result(text(requested, planned, estimator))
