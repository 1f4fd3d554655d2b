"""A local Ray is closed to the network and to other users of the machine."""

import ipaddress
import os
import stat
from pathlib import Path

import psutil
import ray

from bench.execution.ray_backend.ray_executor import RayExecutor


def test_a_local_ray_listens_only_on_the_loopback_interface(ray_executor: RayExecutor) -> None:
    del ray_executor
    pids = {os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True))}
    hosts = [
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.pid in pids and connection.status == psutil.CONN_LISTEN
    ]
    assert hosts
    addresses = [ipaddress.ip_address(host.removeprefix("::ffff:")) for host in hosts]
    assert [address for address in addresses if not address.is_loopback] == []


def test_only_this_user_can_enter_the_folder_of_a_local_ray(ray_executor: RayExecutor) -> None:
    del ray_executor
    folder = Path(ray.get_runtime_context().get_temp_dir()).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
