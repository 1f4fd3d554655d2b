"""The commands of ``bench``.

Usage:
    bench run quick
    bench report results/runs/quick-20260101-120000

Each command imports what it needs when it runs, so that ``bench --help`` is quick.
"""

from typing import Annotated

import typer

from bench.cli.machine_commands import doctor, fetch_data, verify_data
from bench.cli.output import print_result
from bench.cli.publish_commands import publish, verify_published
from bench.cli.report_commands import report, show
from bench.cli.run_command import run
from bench.cli.suite_commands import copy_suite, plan, suites
from bench.cli.usage_errors import Commands
from bench.cli.version import version_text

_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="bench",
    help="Measure what training techniques cost and what they gain.",
    no_args_is_help=True,
    cls=Commands,
    context_settings=_HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (suites, copy_suite, plan, run, report, show, publish, verify_published, doctor):
    app.command()(command)

data = typer.Typer(cls=Commands, help="The data sets that suites train on.", no_args_is_help=True)
data.command("fetch")(fetch_data)
data.command("verify")(verify_data)
app.add_typer(data, name="data")


def _show_version(requested: bool) -> None:
    if requested:
        print_result(version_text())
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks of errors; may be anywhere on the line."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the versions of trainbench, TensorFlow and Ray.",
        ),
    ] = False,
) -> None:
    # ``exit_code`` removes --debug from the line before Typer sees it; this one is for --help.
    del debug, version
