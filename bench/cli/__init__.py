"""The command ``bench``: parse, call, print, exit.

``app`` holds the commands; ``main`` is what the shell calls. Errors that the package raises
on purpose become one line on stderr and their exit code; a traceback comes only with --debug.
"""

from bench.cli.exit import main
from bench.cli.main import app

__all__ = ["app", "main"]
