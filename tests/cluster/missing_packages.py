"""Report what this machine lacks for the tests on real nodes.

python -m tests.cluster.missing_packages      # a line, and exit code 1, where it lacks anything
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

NODES = ("ip", "openssl")
MACHINES = ("ip", "unshare", "nsenter", "ssh", "sshd", "ssh-keygen", "rsync")
SLURM = ("munged", "slurmctld", "slurmd", "sbatch")


def missing(programs: Sequence[str]) -> str:
    """Return why nodes that need these programs cannot run here; empty if they can."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    absent = [program for program in programs if shutil.which(program, path=path) is None]
    if absent:
        return f"{', '.join(absent)} not installed: make cluster-packages"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"bench{os.getpid()}"
    try:
        subprocess.run(["ip", "netns", "add", name], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        return f"no network namespaces: {error.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


def main() -> int:
    """Run the command line; return the exit code."""
    reason = missing(sorted({*NODES, *MACHINES, *SLURM}))
    if reason:
        sys.stderr.write(f"the tests on real nodes cannot run here: {reason}\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
