"""A module whose import starts a thread, after which a process must not be forked.

Usage:
    reason = import_modules(["tests.support.threaded_import"])
"""

import threading

threading.Thread(target=threading.Event().wait, name="waits", daemon=True).start()
