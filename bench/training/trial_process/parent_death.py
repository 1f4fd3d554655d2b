"""End a process with its parent, whatever ends that.

Usage:
    parent = os.getpid()
    if os.fork() == 0:
        end_with_parent(parent)
"""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends (prctl(2)).

    ``parent`` is the process id of the parent. If it ended before this call, this process ends now.
    OSError if the kernel refuses.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
