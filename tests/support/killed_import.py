"""Something kills the process that imports this module.

Usage:
    PreloaderClient(modules=["tests.support.killed_import"])
"""

import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
