"""The command ``bench``: parse, call, print, exit.

``app`` holds the commands; the shell calls ``main``. An error that the package raises on purpose
becomes one line on stderr and its exit code; only --debug prints a traceback.
"""

from bench.cli.app import app
from bench.cli.entry_point import main

__all__ = ["app", "main"]
