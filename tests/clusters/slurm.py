"""Start Slurm on machines of ``tests.clusters.machines``: a controller, and a daemon on each node.

Usage:
    with machines(tmp_path, 2) as (laptop, nodes):
        start_slurm(laptop, nodes)
        laptop.run("sbatch", "--wait", "clusters/slurm.sbatch", "smoke", env=SLURM)
"""

import secrets
import time
from collections.abc import Sequence

from tests.clusters.machines import Machine

SLURM = {"SLURM_CONF": "/srv/slurm.conf"}
_CONF = """\
ClusterName=test
SlurmctldHost=laptop({controller})
SlurmUser=root
AuthType=auth/munge
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
StateSaveLocation=/mnt/slurm
SlurmdSpoolDir=/mnt/slurm
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/mnt/slurmctld.log
SlurmdLogFile=/mnt/slurmd.log
KillWait=30
"""


def start_slurm(laptop: Machine, nodes: Sequence[Machine]) -> None:
    """Start all daemons, and return once every node is idle. They end with their machines."""
    shared = laptop.folder.parent / "shared"
    lines = [f"NodeName={node.folder.name} NodeAddr={node.address} CPUs=1" for node in nodes]
    lines.append("PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP")
    conf = _CONF.format(controller=laptop.address) + "\n".join(lines) + "\n"
    (shared / "slurm.conf").write_text(conf)
    key = secrets.token_bytes(64)
    for machine in (laptop, *nodes):
        (machine.folder / "slurm").mkdir()
        (machine.folder / "munge.key").write_bytes(key)
        (machine.folder / "munge.key").chmod(0o600)
        _do(machine, "mkdir", "-m", "755", "/run/munge")
        files = [f"--{name}-file=/mnt/munge.{name}" for name in ("key", "log", "seed")]
        _do(machine, "munged", "--force", *files)
    _do(laptop, "slurmctld")
    for node in nodes:
        _do(node, "slurmd")
    deadline = time.monotonic() + 60
    while _states(laptop) != ["idle"] * len(nodes):
        assert time.monotonic() < deadline, _states(laptop)
        time.sleep(0.5)


def _states(laptop: Machine) -> list[str]:
    return laptop.run("sinfo", "--Node", "--noheader", "--format=%t", env=SLURM).stdout.split()


def _do(machine: Machine, *words: str) -> None:
    done = machine.run(*words, env=SLURM)
    assert done.returncode == 0, f"{words[0]}: {done.stdout}{done.stderr}"
