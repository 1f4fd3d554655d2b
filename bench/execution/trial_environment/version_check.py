"""Check that the driver and the nodes have the same versions of Python, Ray, TensorFlow and Keras.

Usage:
    check_versions(driver, nodes)        # ResourceError that names both versions
    ray_version_mismatch(message)        # the same, from Ray's message when it refuses to connect

Both arguments are environments as ``bench.measure.environment`` returns them. Driver and nodes
exchange records and data in formats that depend on the versions of Python, Ray, TensorFlow and
Keras, and a comparison must not mix versions of TensorFlow.
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

_RAY_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
"""Ray's wording (``ray._private.utils.check_version_info``), with the cluster's versions first."""


def check_versions(driver: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Compare each node's environment with the driver's; ResourceError at the first difference."""
    for name, node in nodes.items():
        for what, (here, there) in _differences(driver, node).items():
            raise ResourceError(
                f"{what} is {here} here and {there} on node {name}: "
                "install the same version on both"
            )


def ray_version_mismatch(message: str) -> str | None:
    """Return the versions that differ if that is why Ray refused a driver; None otherwise.

    Ray compares versions before the driver can query a node, and distinguishes patch versions of
    Python.
    """
    pairs = _RAY_VERSIONS.findall(message)
    if len(pairs) != 2:
        return None
    cluster, driver = (dict(zip(("Ray", "Python"), pair, strict=True)) for pair in pairs)
    mismatches = [
        f"{what} is {driver[what]} here and {cluster[what]} there"
        for what in driver
        if driver[what] != cluster[what]
    ]
    return f"{', '.join(mismatches)}: install the same version on both" if mismatches else None


def _differences(driver: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    here, there = _versions(driver), _versions(node)
    return {what: (here[what], there[what]) for what in here if here[what] != there[what]}


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    installed = environment["packages"]
    versions = {"Python": _minor(environment["python"]["version"])}
    for what, names in _PACKAGES.items():
        present = [installed[name] for name in names if name in installed]
        versions[what] = present[0] if present else "not installed"
    return versions


def _minor(version: str) -> str:
    # The part of Python's version that pickles and bytecode depend on.
    return ".".join(version.split(".")[:2])
