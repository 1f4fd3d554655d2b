"""The commands that check this machine and its data sets."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Json, parse_path
from bench.cli.output import print_result
from bench.errors import DatasetError
from bench.report.text.escaping import visible


def doctor(
    address: Annotated[
        str | None, typer.Option("--address", help="Check this Ray cluster.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check this machine, and say how to fix what is wrong."""
    from bench.doctor.doctor import examine
    from bench.report.text.doctor_text import render

    checks = examine(address)
    print_result(json.dumps([vars(c) for c in checks], indent=2) if as_json else render(checks))
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(5)


def fetch_data(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Store it here.", parser=parse_path)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Download it again.")] = False,
) -> None:
    """Find or download Fashion-MNIST, and print its folder."""
    from bench.datasets.fetch import fetch

    print_result(visible(str(fetch(folder, force))))


def verify_data(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Check only this folder.", parser=parse_path)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check all copies of Fashion-MNIST against their checksums."""
    from bench.datasets.fetch import verify
    from bench.report.text.listings import files_json, files_text

    checks = verify(folder)
    print_result(files_json(checks) if as_json else files_text(checks))
    folders = {check.folder_name for check in checks}
    if not any(all(c.ok for c in checks if c.folder_name == name) for name in folders):
        where = f" --folder {folder}" if folder else ""
        raise DatasetError(f"no folder has all of Fashion-MNIST: run bench data fetch{where}")
