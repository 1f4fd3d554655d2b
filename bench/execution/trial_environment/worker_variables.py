"""Set the variables of a trial's process before it imports TensorFlow.

Usage:
    set_worker_variables(os.environ, threads=4, tf_config=None)

Inherited settings of clusters, threads and proxies are meant for other programs, or are refused
before a run starts (``bench.execution.trial_environment.inherited_environment``).
"""

import contextlib
import json
from collections.abc import Iterator, MutableMapping

from bench.execution.trial_environment.inherited_environment import THREAD_VARIABLES

_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC reads, in this order."""
_EXEMPTIONS = ("no_proxy", "NO_PROXY")
_GRPC_EXEMPTIONS = "no_grpc_proxy"
"""If this is set, gRPC ignores no_proxy."""


def set_worker_variables(
    environ: MutableMapping[str, str], threads: int, tf_config: str | None = None
) -> None:
    """Set ``environ`` for a process that computes with ``threads`` threads.

    ``tf_config`` describes the workers of a trial that has several. A TF_CONFIG that a job
    scheduler has set is removed: it describes other processes, and TensorFlow would wait for them.
    Connections to peers bypass any proxy.
    """
    environ.pop("TF_CONFIG", None)
    environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    if tf_config is not None:
        environ["TF_CONFIG"] = tf_config
        _exempt(environ, _hosts(tf_config))


@contextlib.contextmanager
def worker_variables(environ: MutableMapping[str, str], threads: int) -> Iterator[None]:
    """Apply ``set_worker_variables`` within the block, in a process that continues afterwards."""
    before = {name: environ.get(name) for name in ("TF_CONFIG", *THREAD_VARIABLES)}
    set_worker_variables(environ, threads)
    try:
        yield
    finally:
        for name, value in before.items():
            environ.pop(name, None)
            if value is not None:
                environ[name] = value


def _hosts(tf_config: str) -> list[str]:
    """Return the workers' hosts without ports; IPv6 addresses both with and without brackets."""
    workers = json.loads(tf_config)["cluster"]["worker"]
    hosts = [address.rpartition(":")[0] for address in workers]
    return list(dict.fromkeys(form for host in hosts for form in (host, host.strip("[]"))))


def _exempt(environ: MutableMapping[str, str], hosts: list[str]) -> None:
    """Add ``hosts`` to those that bypass the proxy, if a proxy is set."""
    if not any(environ.get(name) for name in _PROXIES):
        return
    before = {name: environ.get(name) for name in (*_EXEMPTIONS, _GRPC_EXEMPTIONS)}
    either = before["no_proxy"] or before["NO_PROXY"]
    for name in _EXEMPTIONS:
        environ[name] = ",".join(filter(None, [before[name] or either, *hosts]))
    if before[_GRPC_EXEMPTIONS] is not None:
        environ[_GRPC_EXEMPTIONS] = ",".join(filter(None, [before[_GRPC_EXEMPTIONS], *hosts]))
