"""Run another user's process on a GPU of the stack until its input ends.

    LD_LIBRARY_PATH=... FAKE_CUDA_MEMORY=FILE python -m tests.cuda.neighbour GPU

``GPU`` is the driver's index. Usage, in a process that has those variables:

    with neighbour(2): ...
"""

import contextlib
import ctypes
import subprocess
import sys
from collections.abc import Iterator

_WHOLE_GPU = -1
_HELD_BYTES = 2**30


@contextlib.contextmanager
def neighbour(gpu: int) -> "Iterator[subprocess.Popen[bytes]]":
    """Occupy a gigabyte of ``gpu`` during the block."""
    command = [sys.executable, "-m", "tests.cuda.neighbour", str(gpu)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    library = ctypes.CDLL("libnvidia-ml.so.1")
    library.memory_charge(int(sys.argv[1]), _WHOLE_GPU, ctypes.c_longlong(_HELD_BYTES))
    print("ready", flush=True)
    sys.stdin.read()
