"""A suite on a cluster that Ray's launcher starts: up, run there, results back.

Usage:
    code = launch(Path("clusters/onprem.yaml"), "notebook", Path("mine"), ["--blocks=3"])

Each step is one command of Ray's own, with Ray's words on stderr. The run happens in
~/trainbench/runs on the head, in a folder whose name is made from the local folder's path, so that
a run can be resumed on the same cluster or, as its folder is sent along, on a new one.
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
from bench.execution.ray_files import make_token
from bench.files.reading import KiB, read_file
from bench.files.user_path import user_path
from bench.files.yaml import parse_yaml
from bench.measure.processes import inherited, kill_marked
from bench.records.disk import disk_errors, temporary_folder
from bench.subprocess_end import signal_name

HOME = "~/trainbench"
"""Where the package and its environment are on every node; the files in clusters/ agree."""
_NODES_TIMEOUT_S = 1800
_MOST_CONFIG_BYTES = 64 * KiB
_MOST_CODE_BYTES = 64
"""Of the file that holds an exit code."""
_STDERR = 2
_INTERRUPTED = 130
_CLOSING_S = 20.0
"""For the run there, to close its records once it was interrupted."""
_ANSWER_S = 30.0
"""For each command after an interrupt: the head may be gone."""
_STEP_S = 300.0
"""For a command that sends or asks next to nothing; ssh gives up a silent host sooner."""
_KILL_S = 5.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_MOST_LETTERS = 80
_MARK_LETTERS = 8


def launch(
    config: Path,
    suite: str,
    out: Path,
    options: Sequence[str] = (),
    modules: Sequence[Path] = (),
) -> int:
    """Start ``config``'s cluster, run ``suite`` on it, and bring its run folder back to ``out``.

    ``options`` are further ones of ``bench run``; ``modules``, files and packages, are sent along
    with the suite's file. Returns its exit code, 0 or, where trials
    failed, 5; the results are brought back whatever it is. ResourceError where the cluster
    cannot be had, DataError where nothing comes back. The cluster is left running.
    """
    nodes = planned_nodes(config)
    # Absolute, since rsync takes what precedes a colon for a host, and a dash for an option.
    config, out, file = config.absolute(), _real(out), _real(Path(suite))
    _check_writable(out)
    name = remote_name(out)
    there = f"{HOME}/runs/{name}"
    sent = f"suites/{remote_name(file)}.toml"
    words = [sent if file.is_file() else suite, *options]
    make_token()
    _ray(["up", "-y", "--disable-usage-stats", str(config)], "it did not start")
    _ray(
        ["exec", str(config), f"mkdir -p {HOME}/runs {HOME}/suites; rm -f {there}.code"],
        "its head cannot be reached",
        timeout_s=_STEP_S,
    )
    if file.is_file():
        _ray(["rsync-up", str(config), str(file), f"{HOME}/{sent}"], "no suite was sent")
    for module in (path.absolute() for path in modules):
        end = "/" if module.is_dir() else ""
        there_too = f"{HOME}/suites/{module.name}{end}"
        _ray(["rsync-up", str(config), f"{module}{end}", there_too], f"{module} was not sent")
    if out.exists():
        _ray(["rsync-up", str(config), f"{out}/", f"{there}/"], f"{out} was not sent")
    try:
        # How it ends is read from the file that it leaves: ssh and Ray know only "failed".
        _ray(["exec", str(config), remote_command(words, name, nodes)])
        return _bring_back(config, there, out)
    except KeyboardInterrupt:
        _bring_back_interrupted(config, there, out)
        raise
    finally:
        shown = str(config) if str(config).isprintable() else ascii(str(config))
        sys.stderr.write(f"The cluster still runs; end it by: ray down -y {shown}\n")


def remote_name(path: Path) -> str:
    """What ``path``, a folder or a file here, is called on the head.

    Its own name in letters that neither a shell nor ssh nor rsync reads otherwise, and a mark that
    tells paths of the same name apart.
    """
    path = _real(path)
    plain = _UNSAFE.sub("_", path.stem if path.is_file() else path.name)[:_MOST_LETTERS]
    mark = hashlib.sha256(os.fsencode(f"{platform.node()}:{path}")).hexdigest()[:_MARK_LETTERS]
    return f"{plain.lstrip('.-') or 'run'}-{mark}"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises at a link that leads to itself


def remote_command(words: Sequence[str], name: str, nodes: int) -> str:
    """What the head runs: wait for the nodes, run, and leave the exit code beside the run."""
    run = shlex.join([".venv/bin/bench", "run", *words, "--address=auto", f"--out=runs/{name}"])
    wait = f".venv/bin/python -m bench.execution.gathered {nodes} --timeout-s {_NODES_TIMEOUT_S}"
    left = shlex.quote(f"runs/{name}.code")
    # A signal, as when the connection ends, is for the run: the shell stays to write down its end.
    # The run's table is left out: the same is shown where the results arrive.
    return (
        f"cd {HOME} && trap : HUP INT TERM && {{ {wait} && {run} > /dev/null; echo $? > {left}; }}"
    )


def planned_nodes(config: Path) -> int:
    """The head and the least number of workers of a launcher's file; UsageError if it is bad."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        content = parse_yaml(read_file(config, _MOST_CONFIG_BYTES).decode())
        missing = [p for p in content.get("file_mounts", {}).values() if _is_missing(p)]
        # Ray prints warnings, which it will repeat; stdout is for results.
        with contextlib.redirect_stdout(io.StringIO()):
            prepared: dict[str, Any] = prepare_config(content)
        validate_config(prepared)
    except OSError as error:
        raise UsageError(f"{config}: {error.strerror}: name a file, say one of clusters/") from None
    except Exception as error:  # whatever Ray's loader meets in a file of another kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"{config}: not a file for Ray's launcher ({reason}): compare with clusters/"
        ) from None
    if missing:
        raise UsageError(
            f"{config}: {missing[0]}, which is to be sent to the nodes, is not here: "
            "call from the top folder of trainbench's source"
        )
    kinds = prepared["available_node_types"].values()
    return 1 + sum(int(kind.get("min_workers", 0)) for kind in kinds)


def _is_missing(local: str) -> bool:
    # The token is made when there is none.
    return not (user_path(local).exists() or local.endswith("/auth_token"))


def _bring_back(config: Path, there: str, out: Path) -> int:
    """Fetch the run folder, and the exit code that was left beside it."""
    code = _code_left(config, there)
    if not _ray(_fetch(config, there, out)):
        if _ray(["exec", str(config), f"test -e {there}/run.json"], silent=True, timeout_s=_STEP_S):
            fetch = shlex.join(["ray", *_fetch(config, there, out)])
            raise DataError(
                f"{out}: the results are on the head still, since they could not be brought here: "
                f"mend what rsync complains of above, then {fetch}"
            )
        reason = "was cut off" if code is None else f"ended with exit code {code}"
        kind = UsageError if code == UsageError.exit_code else DataError
        raise kind(f"{out}: the run on the cluster {reason} and left no results: mend what it says")
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    if code not in (0, DataError.exit_code):
        how = "was cut off" if code is None else f"ended with exit code {code}"
        raise DataError(
            f"{out}: the run on the cluster {how}: "
            "what had finished is here, go on from there by --resume"
        )
    return code


def _bring_back_interrupted(config: Path, there: str, out: Path) -> None:
    """Fetch what an interrupted run had finished, in ``2 * _ANSWER_S`` at most, or say how to."""
    # The driver there closes its records first.
    wait = f"timeout {_CLOSING_S:g} sh -c 'until test -e {there}.code; do sleep 1; done'; true"
    answers = _ray(["exec", str(config), wait], silent=True, timeout_s=_ANSWER_S)
    if not answers or not _ray(_fetch(config, there, out), timeout_s=_ANSWER_S):
        later = shlex.join(["ray", *_fetch(config, there, out)])
        sys.stderr.write(f"{out}: nothing came back in time; fetch what the head has by: {later}\n")


def _fetch(config: Path, there: str, out: Path) -> list[str]:
    """The words of Ray's command that brings the run folder here."""
    return ["rsync-down", str(config), f"{there}/", f"{out}/"]


def _code_left(config: Path, there: str) -> int | None:
    with temporary_folder() as place:
        file = place / "code"
        fetched = _ray(["rsync-down", str(config), f"{there}.code", str(file)], timeout_s=_STEP_S)
        return int(read_file(file, _MOST_CODE_BYTES)) if fetched else None


def _check_writable(out: Path) -> None:
    """StorageError where ``out`` cannot be made, before hours are spent on what goes there."""
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out if out.is_dir() else out.parent):
            pass


def _ray(
    words: Sequence[str], needed: str = "", *, silent: bool = False, timeout_s: float | None = None
) -> bool:
    """Whether one of Ray's commands worked; ResourceError, saying what was ``needed``, if not."""
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
            env={**os.environ, **inherited(mark)},
        ).returncode
        name = signal_name(code)
        end = f"was ended by {name}" if name else f"ended with code {code}"
    except subprocess.TimeoutExpired:
        kill_marked(mark, _KILL_S)  # its ssh and rsync, which outlive it
        code, end = None, f"did not end within {timeout_s:g} s"
    if code != 0 and needed:
        raise ResourceError(
            f"the cluster: {needed} (ray {words[0]} {end}): mend what Ray complains of above"
        )
    return code == 0
