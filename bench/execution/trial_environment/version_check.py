"""Whether the driver and the nodes have the same software, as far as results depend on it.

Usage:
    check_versions(driver, nodes)        # ResourceError that names both versions
    refused_by_ray(said)                 # the same of what Ray says as it lets nobody join

Both are environments as ``bench.measure.environment`` tells them. Trials pass records and
data between driver and node as Python, Ray, TensorFlow and Keras of one version write them,
and a comparison must not be one of TensorFlow's versions.
"""

import re
from collections.abc import Mapping
from typing import Any

from bench.errors import ResourceError

_PACKAGES = {
    "TensorFlow": ("tensorflow", "tensorflow-cpu"),
    "Ray": ("ray",),
    "Keras": ("keras",),
}

_RAY_NAMES = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
"""In Ray's own words (``ray._private.utils.check_version_info``), the cluster's come first."""


def check_versions(driver: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare each node's environment with the driver's; ResourceError at the first difference."""
    for name, node in nodes.items():
        for what, (here, there) in _differences(driver, node).items():
            raise ResourceError(
                f"{what} is {here} here and {there} on node {name}: "
                "install the same version on both"
            )


def refused_by_ray(said: str) -> str | None:
    """The versions that differ, where that is why Ray refuses a driver; None where it is not.

    Ray compares before a node can be asked, and tells patches of Python apart.
    """
    named = _RAY_NAMES.findall(said)
    if len(named) != 2:
        return None
    cluster, driver = (dict(zip(("Ray", "Python"), versions, strict=True)) for versions in named)
    unlike = [
        f"{what} is {driver[what]} here and {cluster[what]} there"
        for what in driver
        if driver[what] != cluster[what]
    ]
    return f"{', '.join(unlike)}: install the same version on both" if unlike else None


def _differences(driver: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    here, there = _versions(driver), _versions(node)
    return {what: (here[what], there[what]) for what in here if here[what] != there[what]}


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    installed = environment["packages"]
    found = {"Python": _minor(environment["python"]["version"])}
    for what, names in _PACKAGES.items():
        present = [installed[name] for name in names if name in installed]
        found[what] = present[0] if present else "not installed"
    return found


def _minor(version: str) -> str:
    # Of Python, what pickles and bytecode depend on.
    return ".".join(version.split(".")[:2])
