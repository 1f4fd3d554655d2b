"""The commands that publish results and check published ones."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import RunPath, check_run_folder, parse_path
from bench.cli.output import print_error, print_result
from bench.errors import UsageError
from bench.report.text.escaping import visible

PublishedFolder = Annotated[
    Path, typer.Option("--into", help="Where published runs are.", parser=parse_path)
]
PUBLISHED = Path("results/published")


def publish(
    run: RunPath,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name among published runs.")],
    into: PublishedFolder = PUBLISHED,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a published run of that name.")
    ] = False,
    remark: Annotated[
        str,
        typer.Option("--remark", help="What readers must know, such as other load on the machine."),
    ] = "",
) -> None:
    """Publish a run's records and report for others to check."""
    from bench.report.publishing.publish import publish as publish_run

    check_run_folder(run)
    print_result(visible(str(publish_run(run, name, into, replace=replace, remark=remark))))


def verify_published(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER...]", help="Check only these.", parser=parse_path),
    ] = None,
    into: PublishedFolder = PUBLISHED,
) -> None:
    """Regenerate published tables and compare them."""
    from bench.files.folder_exchange import recover_folder
    from bench.report.publishing.published_index import published_folders, stale_indexes
    from bench.report.publishing.verification import differences
    from bench.report.text.number_text import plural

    for parent in {into, *(folder.absolute().parent for folder in folders or ())}:
        recover_folder(parent)
    chosen = folders or published_folders(into)
    if not chosen:
        raise UsageError(f"{into}: no published run: bench publish RUN NAME makes one")
    problems = [line for folder in chosen for line in differences(folder)]
    stale = [] if folders else stale_indexes(into)
    problems += [f"{path}: is out of date: publish again" for path in stale]
    for line in problems:
        print_error(line)
    if problems:
        raise typer.Exit(5)
    print_result(f"checked {plural(len(chosen), 'published run')}: every table matches its records")
