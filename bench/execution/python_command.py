"""Build the command that runs a module of this package, as this process would or elsewhere.

Usage:
    subprocess.Popen(module_command("bench.execution.ray_backend.process.process_reaper", mark))
    subprocess.Popen(command_under("/venv/bin/python", None, "bench.training.trial_process.preloader"))
"""

import sys
from pathlib import Path

import bench.errors
from bench.files.module_finder import finder_code

_OUR_PATH = "import sys; sys.path[:] = {path!r}; sys.argv[:1] = [{program!r}]; "
_RUN = "import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=False)"
_PACKAGE = Path(bench.errors.__file__).parent


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command, which finds modules where this process does, not in the current folder.

    ``sys.argv[0]`` is that of this process: Ray's workers import from its folder, too.
    """
    script = _OUR_PATH.format(path=sys.path, program=sys.argv[0]) + _RUN.format(module=module)
    return [sys.executable, "-P", "-c", script, *arguments]


def command_under(
    interpreter: str | None, package: Path | None, module: str, *arguments: str
) -> list[str]:
    """Return the command that runs ``module`` of ``bench`` under another interpreter or revision.

    ``interpreter`` is a Python from 3.11 on, None for this one. It imports ``bench`` from the
    folder ``package``, None for that of this process, and nothing else from there.
    """
    path = _OUR_PATH.format(path=sys.path, program=sys.argv[0]) if interpreter is None else ""
    finder = finder_code(_PACKAGE.name, package or _PACKAGE.parent)
    script = f"{path}\n{finder}\n{_RUN.format(module=module)}"
    return [interpreter or sys.executable, "-P", "-c", script, *arguments]
