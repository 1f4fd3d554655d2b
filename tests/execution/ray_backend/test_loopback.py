"""A Ray of our own, as strangers on the network and other users of the machine find it."""

import ipaddress
import os
import stat
from pathlib import Path

import psutil
import ray

from bench.execution.ray_backend.ray_executor import RayExecutor


def test_nothing_of_it_listens_to_the_network(ray_executor: RayExecutor) -> None:
    del ray_executor
    own = {os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True))}
    hosts = [
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.pid in own and connection.status == psutil.CONN_LISTEN
    ]
    assert hosts
    addresses = [ipaddress.ip_address(host.removeprefix("::ffff:")) for host in hosts]
    assert [address for address in addresses if not address.is_loopback] == []


def test_nobody_else_enters_its_folder(ray_executor: RayExecutor) -> None:
    del ray_executor
    folder = Path(ray.get_runtime_context().get_temp_dir()).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
