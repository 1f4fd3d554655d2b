"""A module whose import does not end; it writes its process's pid to the file IMPORTING.

Usage:
    IMPORTING=pid.txt python -c "import tests.support.endless_import"
"""

import os
import time
from pathlib import Path

_file = Path(os.environ["IMPORTING"])
_staged = _file.with_suffix(".staged")
_staged.write_text(str(os.getpid()))
_staged.rename(_file)
time.sleep(600)
