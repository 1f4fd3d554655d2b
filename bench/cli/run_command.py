"""The command that runs a suite."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import (
    Blocks,
    Device,
    Json,
    Only,
    Set,
    SuiteName,
    load_selected_suite,
    parse_path,
)
from bench.cli.output import (
    failure_advice,
    interruption_message,
    print_error,
    print_result,
    shell_word,
)
from bench.cli.stopping_options import MaxTime, UntilOption
from bench.errors import UsageError
from bench.report.text.escaping import visible

if TYPE_CHECKING:
    from bench.api import RunResult
    from bench.spec.suite import Suite


def run(
    suite: SuiteName,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The run folder (default: a new one).", parser=parse_path),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    address: Annotated[
        str | None, typer.Option("--address", help="A running Ray cluster: HOST:PORT, or auto.")
    ] = None,
    cluster: Annotated[
        Path | None,
        typer.Option(
            "--cluster",
            help="Start this cluster (clusters/*.yaml) and run there.",
            parser=parse_path,
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
            help="Network between workers on several nodes (default: BENCH_NETWORK).",
        ),
    ] = None,
    blocks: Blocks = None,
    until: UntilOption = None,
    max_time: MaxTime = None,
    retries: Annotated[int, typer.Option(min=0, help="Retries after a lost worker.")] = 1,
    prune_oom: Annotated[
        bool,
        typer.Option("--prune-oom", help="After a trial is out of memory, skip larger batches."),
    ] = False,
    changes: Set = None,
    only: Only = None,
    as_json: Json = False,
) -> None:
    """Run a suite and print its table."""
    import bench
    from bench.api import check_max_time, new_path, run_on_cluster
    from bench.execution.custom_workloads.module_folder import modules_in_folder
    from bench.report.text.progress_line import progress

    requested = load_selected_suite(suite, changes, blocks, only, until)
    check_max_time(requested, max_time)
    path = out if out or resume else new_path(requested)
    try:
        if cluster:
            if address or executor != "ray":
                raise UsageError("--cluster starts its own Ray: omit --address and --executor")
            options = _cluster_options(changes, only, blocks, device, network, retries, prune_oom)
            options += _stopping_options(requested, max_time)
            modules = modules_in_folder(requested)
            result = run_on_cluster(cluster, suite, path, options, resume=resume, modules=modules)
        else:
            # Ray prints messages about its workers to stdout, which is for results.
            with contextlib.redirect_stdout(sys.stderr), progress() as observer:
                result = bench.run(
                    requested,
                    path,
                    resume=resume,
                    executor=executor,
                    address=address,
                    device=device,
                    network=network,
                    retries=retries,
                    prune_oom=prune_oom,
                    max_time_s=max_time,
                    observer=observer,
                    command=["bench", *sys.argv[1:]],
                )
    except KeyboardInterrupt:
        print_error(interruption_message(path))
        raise typer.Exit(130) from None
    _print_outcome(result, as_json)


def _cluster_options(
    changes: list[str] | None,
    only: list[str] | None,
    blocks: int | None,
    device: str,
    network: str | None,
    retries: int,
    prune_oom: bool,
) -> list[str]:
    """Return the options of ``bench run`` on the head of a cluster."""
    from bench.execution.ray_backend.cluster.peer_network import named_network

    return [
        *(f"--set={change}" for change in changes or []),
        *(f"--only={variant}" for variant in only or []),
        *([] if blocks is None else [f"--blocks={blocks}"]),
        *(f"--device={device}", f"--retries={retries}"),
        *([f"--network={name}"] if (name := named_network(network)) else []),
        *(["--prune-oom"] if prune_oom else []),
    ]


def _stopping_options(suite: "Suite", max_time_s: float | None) -> list[str]:
    """Return the options that end the run on the head of a cluster, as this machine read them."""
    return [
        *([] if suite.precision is None else [f"--until={suite.precision}"]),
        *([] if max_time_s is None else [f"--max-time={max_time_s}s"]),
    ]


def _print_outcome(result: "RunResult", as_json: bool) -> None:
    """Print the results of a run; exit with code 5 if it has not succeeded."""
    from bench.report.text.result_json import run_document
    from bench.report.text.terminal import show

    if as_json:
        print_result(run_document(result))
    else:
        show(result.summary)
        folder = shell_word(result.path)
        print_result(visible(f"Tables, charts and a page: bench report {folder}"))
        print_result(visible(f"Run folder: {result.path}"))
    if not result.succeeded:
        print_error(failure_advice(result.path, set(result.statuses.values())))
        raise typer.Exit(5)
