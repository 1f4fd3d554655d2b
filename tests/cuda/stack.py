"""A CUDA stack that counts and computes nothing, built from the C sources beside this file.

Usage:
    folder = build(tmp_path, ["libnvidia-ml.so.1"])
    subprocess.run(command, env={**os.environ, "LD_LIBRARY_PATH": str(folder), "FAKE_GPUS": "2"})

``stack.h`` says which variables describe the machine, ``nvml.h`` which make NVML fail or answer.
"""

import subprocess
from collections.abc import Iterable
from pathlib import Path

_SOURCES = Path(__file__).parent
_MEMORY = ("memory_table.c",)

LIBRARIES: dict[str, tuple[str, ...]] = {
    "libnvidia-ml.so.1": ("nvml.c", "nvml_rules.c", "nvml_state.c", *_MEMORY),
}
"""Each library by the name that a loader asks for, and the sources that it is made from."""


def build(folder: Path, libraries: Iterable[str] = tuple(LIBRARIES)) -> Path:
    """Build ``libraries`` into ``folder``, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in libraries:
        sources = [str(_SOURCES / source) for source in LIBRARIES[name]]
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", *sources]
        subprocess.run([*command, "-pthread", "-o", str(folder / name)], check=True)
    return folder
