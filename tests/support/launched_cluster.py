"""A stand-in for Ray's launcher: its head is a folder of this machine, reached by a real rsync.

What a shell and rsync make of names is what the tests are about; ssh and Ray's start are not.
"""

import sys
from pathlib import Path

_RAY = """#!{python}
import subprocess, sys
from pathlib import Path

head = "{head}"
command, words = sys.argv[1], sys.argv[2:]
if command == "exec":
    variables = {{"HOME": head, "PATH": "/usr/bin:/bin"}}
    sys.exit(subprocess.call(["bash", "-c", words[1]], env=variables))
if command.startswith("rsync"):
    # The head's side is split into words there, as by the shell behind an ssh.
    at = 1 if command == "rsync-down" else 2
    there = subprocess.run(
        ["bash", "-c", f"printf '%s\\\\n' {{words[at]}}"],
        env={{"HOME": head}}, capture_output=True, text=True, check=True,
    ).stdout.splitlines()
    ends = [there, [words[2]]] if at == 1 else [[words[1]], there]
    sys.exit(subprocess.call(["rsync", "-a", *ends[0], *ends[1]]))
"""

_BENCH = """#!/bin/sh
for word in "$@"; do
    case $word in --out=*) out=${{word#--out=}} ;; esac
    [ "$word" != --resume ] || touch resumed
done
mkdir -p "$out" && cp -r {run}/. "$out" && touch "$out/made-here"
"""


def make_launcher(place: Path, run: Path) -> tuple[Path, Path]:
    """A folder with a ``ray``, and the home of its head, where ``bench run`` leaves ``run``."""
    scripts, programs = place / "scripts", place / "head/trainbench/.venv/bin"
    for folder in (scripts, programs):
        folder.mkdir(parents=True)
    _program(scripts / "ray", _RAY.format(python=sys.executable, head=place / "head"))
    _program(programs / "bench", _BENCH.format(run=run))
    _program(programs / "python", "#!/bin/sh\n")
    return scripts, place / "head"


def _program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)
