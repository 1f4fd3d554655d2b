"""Build the command that runs a module of this package as this process would.

Usage:
    subprocess.Popen(module_command("bench.execution.ray_backend.process.process_reaper", mark))
"""

import sys

_RUN = (
    "import runpy, sys; sys.path[:], module = {path!r}, {module!r}; sys.argv[:1] = [{program!r}]; "
    "runpy.run_module(module, run_name='__main__', alter_sys=False)"
)


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command, which finds modules where this process does, not in the current folder.

    ``sys.argv[0]`` is that of this process: Ray's workers import from its folder, too.
    """
    script = _RUN.format(path=sys.path, module=module, program=sys.argv[0])
    return [sys.executable, "-P", "-c", script, *arguments]
