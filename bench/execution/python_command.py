"""Build the command that runs a module of this package, as this process would or elsewhere.

Usage:
    subprocess.Popen(module_command("bench.execution.ray_backend.process.process_reaper", mark))
    subprocess.Popen(command_under("/venv/bin/python", None, "bench.training.tensorflow_probe"))
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
    """Return the command that runs ``module`` of ``bench`` as ``script_under`` runs a script."""
    return script_under(interpreter, package, _RUN.format(module=module), *arguments)


def script_under(
    interpreter: str | None, package: Path | None, script: str, *arguments: str
) -> list[str]:
    """Return the command that runs ``script`` under another interpreter or revision of ``bench``.

    ``interpreter`` is None for this one. It imports ``bench`` from the folder ``package``, None for
    that of this process, and nothing else from there.
    """
    path = _OUR_PATH.format(path=sys.path, program=sys.argv[0]) if interpreter is None else ""
    finder = finder_code(_PACKAGE.name, package or _PACKAGE.parent)
    # Not by -P, which Python has since 3.11: the script must be able to refuse an older one.
    code = f"import sys; sys.path[:] = filter(None, sys.path)\n{path}\n{finder}\nexec({script!r})"
    return [interpreter or sys.executable, "-c", code, *arguments]
