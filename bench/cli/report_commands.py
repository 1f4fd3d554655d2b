"""The commands that look at what a run has left."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.completion import run_folders, trials
from bench.cli.options import Json, RunPath, check_run_folder, expanded
from bench.cli.output import print_result

if TYPE_CHECKING:
    from bench.files.folder import Folder
    from bench.records.run_folder import RunInfo
    from bench.report.charts.render_process import RenderProcess
    from bench.report.charts.report_data import ReportData


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders.", autocompletion=run_folders, callback=expanded
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where to write (default: RUN/report).", callback=expanded),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's tables, its charts and a page of all."""
    from bench.errors import UsageError
    from bench.files.folder import Folder
    from bench.records.run_folder import RunFolder
    from bench.report.charts.render_process import RenderProcess
    from bench.report.text.escaping import visible
    from bench.report.text.result_json import report_document
    from bench.report.text.terminal import show

    for path in runs:
        check_run_folder(path)
    names = [path.resolve().name for path in runs]
    if out and len(set(names)) < len(names):
        raise UsageError("two of the runs have the same name: report them apart, or without --out")
    written: list[Path] = []
    read = []
    with RenderProcess() as drawer:
        # Imported while the process starts: pandas takes as long.
        from bench.report.charts.report_data import read_run

        for path, name in zip(runs, names, strict=True):
            run = read_run(path, name)
            read.append(run)
            if not as_json:
                show(run.summary)
            if out is None:
                written += _write([run], RunFolder(path).report_files, drawer)
        if out:
            written += _write(read, Folder(out), drawer)
    if as_json:
        print_result(report_document(written, [run.summary for run in read]))
    else:  # the page last, where it is seen
        paths = sorted(written, key=lambda p: p.name == "index.html")
        print_result("\n".join(visible(str(path)) for path in paths))


def _write(runs: "list[ReportData]", out: "Folder", drawer: "RenderProcess") -> tuple[Path, ...]:
    """Write the tables of each run, and the charts and the page of all; the paths written."""
    from bench.records.atomic_write import files_staged
    from bench.report.page.write_page import write_page
    from bench.report.write_report import write_summary

    with files_staged(out) as new:
        for run in runs:
            write_summary(run.summary, new.files / run.name if len(runs) > 1 else new.files)
        write_page(runs, new.files, drawer)
    return new.written


def show(
    run: RunPath,
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL]",
            help="A trial's id, its variant's, or its label; none lists the trials.",
            autocompletion=trials,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List a run's trials, or show all that is known of one."""
    from pydantic_core import to_json

    from bench.records.run_folder import RunFolder
    from bench.report.text.trial_list import trial_rows, trials_json, trials_text
    from bench.report.text.trial_text import trial_text

    check_run_folder(run)
    folder = RunFolder.open(run)
    if trial is None:
        rows = trial_rows(folder.info(), folder.records())
        print_result(trials_json(rows) if as_json else trials_text(rows))
        return
    found = [r for r in folder.raw_records(all_attempts=True) if _is_trial(r, trial)]
    if not found:
        raise _no_trial(run, folder.info(), trial)
    if as_json:
        print_result(to_json(found, indent=2, inf_nan_mode="strings").decode())
        return
    ids = {str(r["trial"]["trial_id"]) for r in found}
    records = [r for r in folder.records(all_attempts=True) if r.trial.trial_id in ids]
    if len(ids) > 1:
        rows = trial_rows(folder.info(), records)
        print_result(trials_text(row for row in rows if row.trial_id in ids))
    else:
        print_result("\n\n".join(map(trial_text, records)))


def _is_trial(record: dict[str, Any], wanted: str) -> bool:
    trial = record["trial"]
    named = any(str(trial[key]).startswith(wanted) for key in ("trial_id", "variant_id"))
    return bool(wanted) and (named or trial["label"] == wanted)


def _no_trial(run: Path, info: "RunInfo", wanted: str) -> Exception:
    from bench.errors import UsageError
    from bench.spec.suggestion import near_misses, nearest

    if any(trial_id.startswith(wanted) for trial_id in info.trial_ids) and wanted:
        return UsageError(f"{run}: '{wanted}' has no record: run it by --resume")
    close = near_misses(wanted, [*info.labels.values(), *info.trial_ids])
    hint = nearest(wanted, close) if close else f": bench show {run} lists them"
    return UsageError(f"{run}: no trial '{wanted}'{hint}")
