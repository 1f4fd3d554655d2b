"""Name a process for ps(1) and top(1).

Usage:
    name_process(TRIAL_NAME)
"""

import ctypes

TRIAL_NAME = "bench-trial"
"""The kernel keeps at most 15 characters."""
_PR_SET_NAME = 15
_libc = ctypes.CDLL(None)


def name_process(name: str) -> None:
    """Give this thread and the process, if it is its first thread, a name (prctl(2))."""
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
