"""The commands that look at what a run has left."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import Json, RunPath
from bench.cli.say import say


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write (default: RUN/report).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's tables (Markdown, CSV, LaTeX), its charts, and one page of all of it."""
    from bench.errors import UsageError
    from bench.report.charts.drawer import Drawer
    from bench.report.charts.reported import read_run
    from bench.report.escape import visible
    from bench.report.page.write import write_page
    from bench.report.terminal import show
    from bench.report.write import write_summary

    names = [path.resolve().name for path in runs]
    if out and len(set(names)) < len(names):
        raise UsageError("two of the runs have the same name: report them apart, or without --out")
    written, read = [], []
    with Drawer() as drawer:
        for path, name in zip(runs, names, strict=True):
            run = read_run(path, name)
            folder = path / "report" if out is None else out / name if len(runs) > 1 else out
            written += write_summary(run.summary, folder)
            if out is None:
                written += write_page([run], folder, drawer)
            else:
                read.append(run)
            if not as_json:
                show(run.summary)
        if out is not None:
            written += write_page(read, out, drawer)
    paths = [str(path) for path in written]
    say(json.dumps(paths) if as_json else "\n".join(map(visible, paths)))


def show(
    run: RunPath,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="A trial's id or its variant's.")],
) -> None:
    """Print everything known of one trial, its log's end included, as JSON."""
    from bench.errors import UsageError
    from bench.records.store import RunFolder

    folder = RunFolder.open(run)
    if not trial:
        raise UsageError(f"name a trial of {run}: trials.csv has them all")
    found = [r for r in folder.raw_records(all_attempts=True) if _is_trial(r, trial)]
    if not found:
        raise UsageError(f"{run}: no trial's id begins with '{trial}': trials.csv has them all")
    say(json.dumps(found, indent=2))


def _is_trial(record: dict[str, Any], wanted: str) -> bool:
    trial = record["trial"]
    return any(str(trial[key]).startswith(wanted) for key in ("trial_id", "variant_id"))
