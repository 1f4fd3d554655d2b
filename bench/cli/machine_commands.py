"""The commands that look at this machine and its data sets."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Json, expanded
from bench.cli.output import print_result


def doctor(
    address: Annotated[str | None, typer.Option("--address", help="Check this cluster.")] = None,
    as_json: Json = False,
) -> None:
    """Check this machine, and say how to mend what is amiss."""
    from bench.doctor.doctor import examine
    from bench.report.text.doctor_text import render

    checks = examine(address)
    print_result(json.dumps([vars(c) for c in checks], indent=2) if as_json else render(checks))
    if any(check.state == "broken" for check in checks):
        raise typer.Exit(5)


def fetch_data(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Put it here.", callback=expanded)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Get it anew.")] = False,
) -> None:
    """Find Fashion-MNIST, or fetch it; print where it is."""
    from bench.datasets.fetch import fetch
    from bench.report.text.escaping import visible

    print_result(visible(str(fetch(folder, force))))


def verify_data(
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Look here alone.", callback=expanded)
    ] = None,
    as_json: Json = False,
) -> None:
    """Check every copy of Fashion-MNIST that can be found, by its checksums."""
    from bench.datasets.fetch import verify
    from bench.errors import DatasetError
    from bench.report.text.listings import files_json, files_text

    checks = verify(folder)
    print_result(files_json(checks) if as_json else files_text(checks))
    places = {check.place for check in checks}
    if not any(all(c.ok for c in checks if c.place == place) for place in places):
        where = f" --folder {folder}" if folder else ""
        raise DatasetError(f"no place holds all of Fashion-MNIST: run bench data fetch{where}")
