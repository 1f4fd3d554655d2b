"""Run a suite on a cluster that Ray's launcher starts, and fetch the results.

Usage:
    code = launch(Path("clusters/onprem.yaml"), "notebook", Path("mine"), ["--blocks=3"])

Each step is one of Ray's own commands, which print to stderr. The run is in ~/trainbench/runs on
the head, in a folder whose name is made from the local folder's path. So a run can be resumed on
the same cluster, or on a new one, because its folder is sent along.
"""

import contextlib
import hashlib
import io
import os
import platform
import re
import secrets
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError, ResourceError, UsageError
from bench.execution.ray_backend.local.private_ray_files import make_token
from bench.files.bounded_reading import KiB, read_file
from bench.files.user_path import user_path
from bench.files.yaml_file import parse_yaml
from bench.measure.marked_processes import inherited_mark, kill_marked
from bench.process_exit import signal_name
from bench.records.atomic_write import disk_errors, temporary_folder

HOME = "~/trainbench"
"""Where every node has the package and its environment; the files in clusters/ use the same path.
"""
_NODES_TIMEOUT_S = 1800
_MAX_CONFIG_BYTES = 64 * KiB
_MAX_CODE_BYTES = 64
"""Size limit of the file that holds an exit code."""
_STDERR = 2
_INTERRUPTED = 130
_CLOSING_S = 20.0
"""How long the remote run may take to close its records after an interrupt."""
_ANSWER_S = 30.0
"""Timeout of each command after an interrupt: the head may be lost."""
_STEP_S = 300.0
"""Timeout of a command that transfers very little; ssh gives up a silent host sooner."""
_KILL_S = 5.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_MAX_LETTERS = 80
_MARK_LETTERS = 8


def launch(
    config: Path,
    suite: str,
    out: Path,
    options: Sequence[str] = (),
    modules: Sequence[Path] = (),
) -> int:
    """Start ``config``'s cluster, run ``suite`` on it, and fetch its run folder to ``out``.

    ``options`` are further options of ``bench run``. ``modules``, files and packages, are sent
    along with the suite's file. Returns the run's exit code: 0, or 5 if trials failed; the results
    are fetched in both cases. Raises ResourceError if the cluster is not available, DataError if no
    results can be fetched. The cluster keeps running.
    """
    nodes = planned_nodes(config)
    # The paths are absolute, because rsync reads a part before a colon as a host, and a dash as an
    # option.
    config, out, file = config.absolute(), _real_path(out), _real_path(Path(suite))
    _check_writable(out)
    name = remote_name(out)
    there = f"{HOME}/runs/{name}"
    sent = f"suites/{remote_name(file)}.toml"
    words = [sent if file.is_file() else suite, *options]
    make_token()
    _ray(["up", "-y", "--disable-usage-stats", str(config)], "the cluster did not start")
    _ray(
        ["exec", str(config), f"mkdir -p {HOME}/runs {HOME}/suites; rm -f {there}.code"],
        "the cluster's head cannot be reached",
        timeout_s=_STEP_S,
    )
    if file.is_file():
        _ray(["rsync-up", str(config), str(file), f"{HOME}/{sent}"], "the suite could not be sent")
    for module in (path.absolute() for path in modules):
        end = "/" if module.is_dir() else ""
        there_too = f"{HOME}/suites/{module.name}{end}"
        _ray(["rsync-up", str(config), f"{module}{end}", there_too], f"{module} could not be sent")
    if out.exists():
        _ray(["rsync-up", str(config), f"{out}/", f"{there}/"], f"{out} could not be sent")
    try:
        # The exit code is read from the file that the run writes: ssh and Ray only report a
        # failure.
        _ray(["exec", str(config), remote_command(words, name, nodes)])
        return _bring_back(config, there, out)
    except KeyboardInterrupt:
        _bring_back_interrupted(config, there, out)
        raise
    finally:
        shown = str(config) if str(config).isprintable() else ascii(str(config))
        sys.stderr.write(f"The cluster is still running; stop it with: ray down -y {shown}\n")


def remote_name(path: Path) -> str:
    """Return the name on the head of ``path``, a local folder or file.

    It is the path's own name, in letters that a shell, ssh and rsync do not interpret, and a hash
    that distinguishes paths with the same name.
    """
    path = _real_path(path)
    plain = _UNSAFE.sub("_", path.stem if path.is_file() else path.name)[:_MAX_LETTERS]
    mark = hashlib.sha256(os.fsencode(f"{platform.node()}:{path}")).hexdigest()[:_MARK_LETTERS]
    return f"{plain.lstrip('.-') or 'run'}-{mark}"


def _real_path(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises at a link that leads to itself


def remote_command(words: Sequence[str], name: str, nodes: int) -> str:
    """Return the head's command, which waits for the nodes, runs, and writes the exit code."""
    run = shlex.join([".venv/bin/bench", "run", *words, "--address=auto", f"--out=runs/{name}"])
    module = "bench.execution.launching.wait_for_nodes"
    wait = f".venv/bin/python -m {module} {nodes} --timeout-s {_NODES_TIMEOUT_S}"
    code_file = shlex.quote(f"runs/{name}.code")
    # A signal, for example when the connection ends, is for the run: the shell stays to write the
    # exit code. The run's table is discarded: it is shown where the results arrive.
    steps = f"{wait} && {run} > /dev/null; echo $? > {code_file}"
    return f"cd {HOME} && trap : HUP INT TERM && {{ {steps}; }}"


def planned_nodes(config: Path) -> int:
    """Return the least number of nodes in a launcher's file; UsageError if the file is bad."""
    from bench.execution.ray_backend.ray_compat import prepare_config, validate_config

    try:
        content = parse_yaml(read_file(config, _MAX_CONFIG_BYTES).decode())
        missing = [p for p in content.get("file_mounts", {}).values() if _is_missing(p)]
        # Ray prints warnings here and repeats them later; stdout is for results.
        with contextlib.redirect_stdout(io.StringIO()):
            prepared: dict[str, Any] = prepare_config(content)
        validate_config(prepared)
    except OSError as error:
        raise UsageError(
            f"{config}: {error.strerror}: name a file, such as one in clusters/"
        ) from None
    except Exception as error:  # Ray's loader may raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{config}: not a file for Ray's launcher ({reason}): compare it with clusters/*.yaml"
        ) from None
    if missing:
        raise UsageError(
            f"{config}: {missing[0]} does not exist, but the nodes need it: "
            "run bench from the root of trainbench's source"
        )
    kinds = prepared["available_node_types"].values()
    return 1 + sum(int(kind.get("min_workers", 0)) for kind in kinds)


def _is_missing(local: str) -> bool:
    # A missing token is made later.
    return not (user_path(local).exists() or local.endswith("/auth_token"))


def _bring_back(config: Path, there: str, out: Path) -> int:
    """Fetch the run folder, and return the exit code in the file beside it."""
    code = _fetch_exit_code(config, there)
    if not _ray(_fetch(config, there, out)):
        if _ray(["exec", str(config), f"test -e {there}/run.json"], silent=True, timeout_s=_STEP_S):
            fetch = shlex.join(["ray", *_fetch(config, there, out)])
            raise DataError(
                f"{out}: the results are still on the head because they could not be copied: "
                f"fix the rsync error above, then run {fetch}"
            )
        reason = "was cut short" if code is None else f"exited with code {code}"
        kind = UsageError if code == UsageError.exit_code else DataError
        raise kind(
            f"{out}: the run on the cluster {reason} and returned no results: fix the error above"
        )
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (0, DataError.exit_code):
        how = "was cut short" if code is None else f"exited with code {code}"
        raise DataError(
            f"{out}: the run on the cluster {how}: "
            "the finished trials are saved here; continue with --resume"
        )
    return code


def _bring_back_interrupted(config: Path, there: str, out: Path) -> None:
    """Fetch the records of an interrupted run in ``2 * _ANSWER_S`` at most, or print how to."""
    # The remote driver closes its records first.
    wait = f"timeout {_CLOSING_S:g} sh -c 'until test -e {there}.code; do sleep 1; done'; true"
    answers = _ray(["exec", str(config), wait], silent=True, timeout_s=_ANSWER_S)
    if not answers or not _ray(_fetch(config, there, out), timeout_s=_ANSWER_S):
        later = shlex.join(["ray", *_fetch(config, there, out)])
        sys.stderr.write(
            f"{out}: no results arrived in time; fetch them from the head with: {later}\n"
        )


def _fetch(config: Path, there: str, out: Path) -> list[str]:
    """Return the arguments of Ray's command that fetches the run folder."""
    return ["rsync-down", str(config), f"{there}/", f"{out}/"]


def _fetch_exit_code(config: Path, there: str) -> int | None:
    with temporary_folder() as folder:
        file = folder / "code"
        fetched = _ray(["rsync-down", str(config), f"{there}.code", str(file)], timeout_s=_STEP_S)
        return int(read_file(file, _MAX_CODE_BYTES)) if fetched else None


def _check_writable(out: Path) -> None:
    """Raise StorageError if ``out`` cannot be made, before hours are spent on its contents."""
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out if out.is_dir() else out.parent):
            pass


def _ray(
    words: Sequence[str], needed: str = "", *, silent: bool = False, timeout_s: float | None = None
) -> bool:
    """Run one of Ray's commands and return whether it worked.

    If it failed, raises ResourceError that begins with ``needed``, the consequence of the failure,
    unless that is empty.
    """
    ray = Path(sysconfig.get_path("scripts")) / "ray"
    shown = subprocess.DEVNULL if silent else _STDERR
    mark = secrets.token_hex(_MARK_LETTERS)
    try:
        code = subprocess.run(
            [ray, *words],
            stdout=shown,
            stderr=shown,
            check=False,
            timeout=timeout_s,
            env={**os.environ, **inherited_mark(mark)},
        ).returncode
        name = signal_name(code)
        end = f"was killed by {name}" if name else f"exited with code {code}"
    except subprocess.TimeoutExpired:
        kill_marked(mark, _KILL_S)  # its ssh and rsync, which outlive it
        code, end = None, f"did not end within {timeout_s:g} s"
    if code != 0 and needed:
        raise ResourceError(f"{needed} (ray {words[0]} {end}): fix Ray's error above")
    return code == 0
