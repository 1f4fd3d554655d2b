"""The commands for results that others are to read and to check."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import RunPath, check_run_folder, expanded
from bench.cli.say import complain, say

Place = Annotated[Path, typer.Option("--into", help="Where published runs are.", callback=expanded)]
PUBLISHED = Path("results/published")


def publish(
    run: RunPath,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name among the published.")],
    into: Place = PUBLISHED,
    replace: Annotated[bool, typer.Option("--replace", help="In place of one so called.")] = False,
    remark: Annotated[
        str, typer.Option("--remark", help="What readers must know: what else ran, say.")
    ] = "",
) -> None:
    """Write a run's records and report for others to check."""
    from bench.report.escape import visible
    from bench.report.publish import publish as written

    check_run_folder(run)
    say(visible(str(written(run, name, into, replace=replace, remark=remark))))


def verify_published(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER...]", help="Some alone.", callback=expanded),
    ] = None,
    into: Place = PUBLISHED,
) -> None:
    """Make published tables anew, and compare them."""
    from bench.errors import UsageError
    from bench.files.exchange import recover
    from bench.report.index import published, stale_indexes
    from bench.report.number import plural
    from bench.report.verify import differences

    for place in {into, *(folder.absolute().parent for folder in folders or ())}:
        recover(place)
    chosen = folders or published(into)
    if not chosen:
        raise UsageError(f"{into}: no published run: bench publish RUN NAME makes one")
    found = [line for folder in chosen for line in differences(folder)]
    stale = [] if folders else stale_indexes(into)
    found += [f"{path}: not the list of what is there: publish again" for path in stale]
    for line in found:
        complain(line)
    if found:
        raise typer.Exit(5)
    say(f"checked {plural(len(chosen), 'published run')}: every table is what its records give")
