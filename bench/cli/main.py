"""The commands.

Usage:
    bench run quick
    bench report results/runs/quick-20260101-120000

Each command imports what it needs when it is called, so that ``bench --help`` is quick.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bench.cli.published import publish, verify_published
from bench.cli.say import complain, interruption, remedy, say
from bench.cli.settings import parse_settings

app = typer.Typer(
    name="bench",
    help="Measure what training techniques cost, and what they buy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="The data sets that suites train on.", no_args_is_help=True)
app.add_typer(data, name="data")
app.command("publish")(publish)
app.command("verify-published")(verify_published)

SuiteName = Annotated[str, typer.Argument(metavar="SUITE", help="A shipped suite, or a file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key of the suite or an axis."),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="ID", help="Keep these variants alone (ids from bench plan)."),
]
Blocks = Annotated[int | None, typer.Option("--blocks", help="Repeats of every comparison.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")]
Device = Annotated[
    Literal["auto", "cpu", "gpu"], typer.Option(help="Train on GPUs where there are any (auto).")
]


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of errors; anywhere on the line.")
    ] = False,
) -> None:
    # ``main`` takes --debug off the line before Typer sees it; here it is for --help.
    del debug


@app.command()
def suites(as_json: Json = False) -> None:
    """List the shipped suites."""
    from bench.report.listing import suites_json, suites_text
    from bench.spec.suite import load_suite, shipped_suites

    loaded = [load_suite(name) for name in shipped_suites()]
    say(suites_json(loaded) if as_json else suites_text(loaded))


@app.command()
def plan(
    suite: SuiteName,
    blocks: Blocks = None,
    changes: Set = None,
    only: Only = None,
    as_json: Json = False,
) -> None:
    """Show a suite's variants and trials with a guess of the time; run nothing."""
    from bench.report.listing import plan_json, plan_text
    from bench.spec.plan import make_plan

    asked = _suite(suite, changes, blocks, only)
    planned = make_plan(asked)
    say(plan_json(asked, planned) if as_json else plan_text(asked, planned))


@app.command()
def run(
    suite: SuiteName,
    out: Annotated[
        Path | None, typer.Option("--out", help="The run folder (default: a new one).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out's run.")] = False,
    address: Annotated[
        str | None, typer.Option("--address", help="A running Ray cluster: HOST:PORT, or auto.")
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option("--cluster", help="Start this cluster (clusters/*.yaml), and run there."),
    ] = None,
    device: Device = "auto",
    executor: Annotated[
        Literal["ray", "inprocess", "simulated"], typer.Option(help="What runs the trials.")
    ] = "ray",
    blocks: Blocks = None,
    retries: Annotated[int, typer.Option(min=0, help="Further tries for a lost worker.")] = 1,
    prune_oom: Annotated[
        bool, typer.Option("--prune-oom", help="Skip larger batches once one is out of memory.")
    ] = False,
    changes: Set = None,
    only: Only = None,
    as_json: Json = False,
) -> None:
    """Run a suite and end with its table."""
    import bench
    from bench.analysis.summary import summarize
    from bench.api import new_path, run_on_cluster
    from bench.errors import UsageError
    from bench.report.listing import run_json
    from bench.report.progress import progress
    from bench.report.terminal import show

    asked = _suite(suite, changes, blocks, only)
    path = out if out or resume else new_path(asked)
    try:
        if cluster:
            if address or executor != "ray":
                raise UsageError("--cluster starts a Ray of its own: leave --address, --executor")
            options = [f"--set={change}" for change in changes or []]
            options += [f"--only={variant}" for variant in only or []]
            options += [] if blocks is None else [f"--blocks={blocks}"]
            options += [f"--device={device}", f"--retries={retries}"]
            options += ["--prune-oom"] if prune_oom else []
            result = run_on_cluster(cluster, suite, path, options, resume=resume)
        else:
            # Ray prints what befalls its workers to stdout, which is for results.
            with contextlib.redirect_stdout(sys.stderr), progress() as observer:
                result = bench.run(
                    asked,
                    path,
                    resume=resume,
                    executor=executor,
                    address=address,
                    device=device,
                    retries=retries,
                    prune_oom=prune_oom,
                    observer=observer,
                    command=["bench", *sys.argv[1:]],
                )
    except KeyboardInterrupt:
        complain(interruption(path))
        raise typer.Exit(130) from None
    if as_json:
        say(run_json(result))
    else:
        show(summarize(result.path))
        say(f"Run folder: {result.path}")
    if not result.succeeded:
        complain(remedy(result.path, set(result.statuses.values())))
        raise typer.Exit(5)


@app.command()
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
    say(json.dumps([str(p) for p in written]) if as_json else "\n".join(map(str, written)))


@app.command()
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


@app.command()
def doctor(
    address: Annotated[str | None, typer.Option("--address", help="Check this cluster.")] = None,
    as_json: Json = False,
) -> None:
    """Check devices, driver, TensorFlow, XLA, data and Ray: what works, and how to mend it."""
    from bench.execution.doctor import examine
    from bench.report.doctor import render

    checks = examine(address)
    say(json.dumps([vars(c) for c in checks], indent=2) if as_json else render(checks))
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(5)


@data.command("fetch")
def data_fetch(
    folder: Annotated[Path | None, typer.Option("--folder", help="Put it here.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Get it anew.")] = False,
) -> None:
    """Find Fashion-MNIST, or fetch it; print where it is."""
    from bench.datasets.fetch import fetch

    say(str(fetch(folder, force)))


@data.command("verify")
def data_verify(
    folder: Annotated[Path | None, typer.Option("--folder", help="Look here alone.")] = None,
    as_json: Json = False,
) -> None:
    """Check every copy of Fashion-MNIST that can be found, by its checksums."""
    from bench.datasets.fetch import verify
    from bench.errors import DatasetError
    from bench.report.listing import files_json, files_text

    checks = verify(folder)
    say(files_json(checks) if as_json else files_text(checks))
    places = {check.place for check in checks}
    if not any(all(c.ok for c in checks if c.place == place) for place in places):
        where = f" --folder {folder}" if folder else ""
        raise DatasetError(f"no place holds all of Fashion-MNIST: run bench data fetch{where}")


def _suite(name: str, changes: list[str] | None, blocks: int | None, only: list[str] | None) -> Any:
    from bench.spec.suite import load_suite

    settings = parse_settings(changes or [])
    if blocks is not None:
        settings["blocks"] = blocks
    if only:
        settings["only"] = only
    return load_suite(name, settings)


def _is_trial(record: dict[str, Any], wanted: str) -> bool:
    trial = record["trial"]
    return any(str(trial[key]).startswith(wanted) for key in ("trial_id", "variant_id"))
