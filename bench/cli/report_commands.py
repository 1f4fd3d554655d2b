"""The commands that read run folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.completion import run_folders, trials
from bench.cli.options import Json, RunPath, check_run_folder, parse_path
from bench.cli.output import print_result
from bench.errors import UsageError
from bench.report.text.escaping import visible
from bench.spec.suggestion import near_misses, nearest

if TYPE_CHECKING:
    from bench.analysis.summary import Summary
    from bench.records.run_info import RunInfo


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run folders.", autocompletion=run_folders, parser=parse_path
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where to write (default: RUN/report).", parser=parse_path),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run's tables, charts and page."""
    from bench.report.full_report import full_report
    from bench.report.text.result_json import report_document
    from bench.report.text.terminal import show

    def show_summary(summary: "Summary") -> None:
        if not as_json:
            show(summary)

    for path in runs:
        check_run_folder(path)
    written = full_report(runs, out, on_summary=show_summary)
    if as_json:
        print_result(report_document(written.files, written.summaries))
    else:  # the page last, where users see it
        paths = sorted(written.files, key=lambda path: path.name == "index.html")
        print_result("\n".join(visible(str(path)) for path in paths))


def show(
    run: RunPath,
    trial: Annotated[
        str | None,
        typer.Argument(
            metavar="[TRIAL]",
            help="A trial's id, its variant's, or its label; without it, all trials are listed.",
            autocompletion=trials,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List a run's trials, or show everything recorded of one."""
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
    matches = [r for r in folder.raw_records(all_attempts=True) if _is_trial(r, trial)]
    if not matches:
        raise _no_trial(run, folder.info(), trial)
    if as_json:
        print_result(to_json(matches, indent=2, inf_nan_mode="strings").decode())
        return
    ids = {str(r["trial"]["trial_id"]) for r in matches}
    records = [r for r in folder.records(all_attempts=True) if r.trial.trial_id in ids]
    if len(ids) > 1:
        rows = trial_rows(folder.info(), records)
        print_result(trials_text(row for row in rows if row.trial_id in ids))
    else:
        print_result("\n\n".join(map(trial_text, records)))


def _is_trial(record: dict[str, Any], name: str) -> bool:
    """Return whether ``name`` is the trial's label, or begins its id or its variant's."""
    trial = record["trial"]
    begins_id = any(str(trial[key]).startswith(name) for key in ("trial_id", "variant_id"))
    return bool(name) and (begins_id or trial["label"] == name)


def _no_trial(run: Path, info: "RunInfo", name: str) -> UsageError:
    if any(trial_id.startswith(name) for trial_id in info.trial_ids) and name:
        return UsageError(f"{run}: '{name}' has no record: run it with --resume")
    close = near_misses(name, [*info.labels.values(), *info.trial_ids])
    hint = nearest(name, close) if close else f": bench show {run} lists them"
    return UsageError(f"{run}: no trial '{name}'{hint}")
