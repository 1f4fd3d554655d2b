"""Say what an interpreter has that a trial needs: versions, and this package's protocol.

Usage:
    python -c "<this file>"      # one line of JSON, under the interpreter that is to be checked

The file is passed as text, because an older revision of the package may not have it. It runs under
older Pythons than the package does, so that they can be refused by their version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import sys
from importlib import metadata

_FIRST_PYTHON = (3, 11)


def tensorflow_build() -> str:
    """Return what identifies this interpreter's TensorFlow: its version, and a digest."""
    version, files = "none", None
    for name in ("tensorflow", "tensorflow-cpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            package = metadata.distribution(name)
            version, files = package.version, package.read_text("RECORD")
    # The digests of all files: builds of one version may differ.
    return f"{version}-{hashlib.sha256((files or '').encode()).hexdigest()[:16]}"


def found() -> dict[str, str | int]:
    """Import what a trial imports; return the versions, and "error" if something is missing."""
    answer: dict[str, str | int] = {"python": platform.python_version()}
    if sys.version_info < _FIRST_PYTHON:
        answer["error"] = "Python 3.11 or newer is needed"
        return answer
    try:
        import keras
        import numpy
        import tensorflow

        answer["tensorflow"] = tensorflow.__version__
        answer["keras"] = keras.__version__
        answer["numpy"] = numpy.__version__
        answer["build"] = tensorflow_build()
        from bench.protocol.messages import PROTOCOL

        answer["protocol"] = PROTOCOL
        import bench.training.trial
        import bench.training.trial_process.preloader  # noqa: F401
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    return answer


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(found())}\n")
