"""A suite on a cluster that Ray's launcher starts: up, run there, results back.

Usage:
    code = launch(Path("clusters/onprem.yaml"), "notebook", Path("mine"), ["--blocks=3"])

Each step is one command of Ray's own, with Ray's words on stderr. The run happens in
~/trainbench on the head, in a folder that has the name of the local one, so that a run can be
resumed on the same cluster or, as its folder is sent along, on a new one.
"""

import contextlib
import io
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import DataError, ResourceError, UsageError
from bench.execution.ray_files import protect_token

HOME = "~/trainbench"
"""Where the package and its environment are on every node; the files in clusters/ agree."""
_NODES_TIMEOUT_S = 1800
_STDERR = 2
_INTERRUPTED = 130
_CLOSING_S = 30.0


def launch(config: Path, suite: str, out: Path, options: Sequence[str] = ()) -> int:
    """Start ``config``'s cluster, run ``suite`` on it, and bring its run folder back to ``out``.

    ``options`` are further ones of ``bench run``. Returns its exit code, 0 or, where trials
    failed, 5; the results are brought back whatever it is. ResourceError where the cluster
    cannot be had, DataError where nothing comes back. The cluster is left running.
    """
    nodes = planned_nodes(config)
    there = f"{HOME}/runs/{out.name}"
    file = Path(suite)
    words = [f"suites/{file.name}" if file.is_file() else suite, *options]
    protect_token()
    _ray(["up", "-y", "--disable-usage-stats", str(config)], "it did not start")
    _ray(
        ["exec", str(config), f"mkdir -p {HOME}/runs {HOME}/suites; rm -f {_quoted(there)}.code"],
        "its head cannot be reached",
    )
    if file.is_file():
        _ray(["rsync-up", str(config), suite, f"{HOME}/suites/{file.name}"], "no suite was sent")
    if out.exists():
        _ray(["rsync-up", str(config), f"{out}/", f"{there}/"], f"{out} was not sent")
    try:
        # How it ends is read from the file that it leaves: ssh and Ray know only "failed".
        _ray(["exec", str(config), remote_command(words, out.name, nodes)])
        return _bring_back(config, there, out)
    except KeyboardInterrupt:
        # The driver there closes its records first; that it was interrupted is known here.
        _await_end(config, there)
        with contextlib.suppress(DataError, UsageError):
            _bring_back(config, there, out)
        raise
    finally:
        sys.stderr.write(f"The cluster still runs; end it by: ray down -y {config}\n")


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
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        content = yaml.safe_load(config.read_text())
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


def _quoted(path: str) -> str:
    """For a shell, which is still to put its home in the place of the tilde."""
    return f"~/{shlex.quote(path.removeprefix('~/'))}"


def _is_missing(local: str) -> bool:
    # The token is made when there is none.
    return not (Path(local).expanduser().exists() or local.endswith("/auth_token"))


def _bring_back(config: Path, there: str, out: Path) -> int:
    """Fetch the run folder, and the exit code that was left beside it."""
    code = _code_left(config, there, out)
    if not _ray(["rsync-down", str(config), f"{there}/", f"{out}/"]):
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


def _await_end(config: Path, there: str) -> None:
    """Until the run there has left its exit code, or for a while where it cannot any more."""
    ends = time.monotonic() + _CLOSING_S
    while time.monotonic() < ends:
        if _ray(["exec", str(config), f"test -e {_quoted(there)}.code"], silent=True):
            return
        time.sleep(1)


def _code_left(config: Path, there: str, out: Path) -> int | None:
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.with_name(f"{out.name}.code")
    try:
        fetched = _ray(["rsync-down", str(config), f"{there}.code", str(file)])
        return int(file.read_text()) if fetched else None
    finally:
        file.unlink(missing_ok=True)


def _ray(words: Sequence[str], needed: str = "", *, silent: bool = False) -> bool:
    """Whether one of Ray's commands worked; ResourceError, saying what was ``needed``, if not."""
    ray = Path(sysconfig.get_path("scripts")) / "ray"
    shown = subprocess.DEVNULL if silent else _STDERR
    done = subprocess.run([ray, *words], stdout=shown, stderr=shown, check=False)
    if done.returncode and needed:
        raise ResourceError(
            f"the cluster: {needed} (ray {words[0]} ended with code {done.returncode}): "
            "mend what Ray complains of above"
        )
    return done.returncode == 0
