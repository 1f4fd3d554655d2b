"""The command ``bench``: parse, call, print, exit.

``app`` holds the commands; ``main`` is what the shell calls. Errors that the package raises
on purpose become one line on stderr and their exit code; a traceback comes only with --debug.
"""

from bench.cli.main import app, main

__all__ = ["app", "main"]
