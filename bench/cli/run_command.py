"""The command that runs a suite."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import Blocks, Device, Json, Only, Set, SuiteName, asked_suite, expanded
from bench.cli.output import interruption, print_error, print_result, remedy, shell_word

if TYPE_CHECKING:
    from bench.api import RunResult


def run(
    suite: SuiteName,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The run folder (default: a new one).", callback=expanded),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out's run.")] = False,
    address: Annotated[
        str | None, typer.Option("--address", help="A running Ray cluster: HOST:PORT, or auto.")
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option(
            "--cluster",
            help="Start this cluster (clusters/*.yaml), and run there.",
            callback=expanded,
        ),
    ] = None,
    device: Device = "auto",
    executor: Annotated[
        Literal["ray", "inprocess", "simulated"], typer.Option(help="What runs the trials.")
    ] = "ray",
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            metavar="ADDRESS/PREFIX",
            help="Where workers on several nodes reach each other (else BENCH_NETWORK).",
        ),
    ] = None,
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
    from bench.api import new_path, run_on_cluster
    from bench.errors import UsageError
    from bench.execution.custom_workloads.module_folder import modules_in_folder
    from bench.report.text.progress_line import progress

    asked = asked_suite(suite, changes, blocks, only)
    path = out if out or resume else new_path(asked)
    try:
        if cluster:
            if address or executor != "ray":
                raise UsageError("--cluster starts a Ray of its own: leave --address, --executor")
            there = _words(changes, only, blocks, device, network, retries, prune_oom)
            modules = modules_in_folder(asked)
            result = run_on_cluster(cluster, suite, path, there, resume=resume, modules=modules)
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
                    network=network,
                    retries=retries,
                    prune_oom=prune_oom,
                    observer=observer,
                    command=["bench", *sys.argv[1:]],
                )
    except KeyboardInterrupt:
        print_error(interruption(path))
        raise typer.Exit(130) from None
    _end(result, as_json)


def _words(
    changes: list[str] | None,
    only: list[str] | None,
    blocks: int | None,
    device: str,
    network: str | None,
    retries: int,
    prune_oom: bool,
) -> list[str]:
    """The options as the head of a cluster is given them."""
    from bench.execution.ray_backend.peer_network import named_network

    return [
        *(f"--set={change}" for change in changes or []),
        *(f"--only={variant}" for variant in only or []),
        *([] if blocks is None else [f"--blocks={blocks}"]),
        *(f"--device={device}", f"--retries={retries}"),
        *([f"--network={named}"] if (named := named_network(network)) else []),
        *(["--prune-oom"] if prune_oom else []),
    ]


def _end(result: "RunResult", as_json: bool) -> None:
    """Print what came of a run; exit with 5 where a trial gave no answer."""
    from bench.analysis.summary import summarize
    from bench.report.text.escaping import visible
    from bench.report.text.result_json import run_document
    from bench.report.text.terminal import show

    summary = summarize(result.path)
    if as_json:
        print_result(run_document(result, summary))
    else:
        show(summary)
        place = shell_word(result.path)
        print_result(visible(f"Tables, charts and a page of it: bench report {place}"))
        print_result(visible(f"Run folder: {result.path}"))
    if not result.succeeded:
        print_error(remedy(result.path, set(result.statuses.values())))
        raise typer.Exit(5)
