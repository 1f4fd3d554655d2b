"""Driver and nodes are compared before any trial starts."""

import re
from typing import Any

import pytest

from bench.errors import ResourceError
from bench.execution.trial_environment.version_check import check_versions, ray_version_mismatch


def environment(python: str = "3.11.7", **packages: str) -> dict[str, Any]:
    """A node's environment, as far as it is looked at."""
    usual = {"tensorflow": "2.21.0", "keras": "3.15.1", "ray": "2.60.0", "numpy": "2.4.0"}
    return {"python": {"version": python}, "packages": {**usual, **packages}}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (environment(tensorflow="2.20.0"), "TensorFlow is 2.21.0 here and 2.20.0 on node b"),
        (environment(keras="3.14.0"), "Keras is 3.15.1 here and 3.14.0 on node b"),
        (environment(ray="2.59.1"), "Ray is 2.60.0 here and 2.59.1 on node b"),
        (environment("3.12.1"), "Python is 3.11 here and 3.12 on node b"),
    ],
)
def test_a_node_with_another_version_is_refused_and_both_versions_are_named(
    node: dict[str, Any], message: str
) -> None:
    with pytest.raises(
        ResourceError, match=f"^{re.escape(message)}: install the same version on both$"
    ):
        check_versions(environment(), {"a": environment(), "b": node})


def test_a_node_without_tensorflow_is_refused() -> None:
    node = environment()
    del node["packages"]["tensorflow"]
    with pytest.raises(ResourceError, match=r"TensorFlow is 2.21.0 here and not installed on node"):
        check_versions(environment(), {"a": node})


def test_versions_that_do_not_affect_results_may_differ() -> None:
    check_versions(environment(), {"a": environment("3.11.9", numpy="2.3.0")})


def test_the_cpu_build_counts_as_the_same_tensorflow() -> None:
    node = environment(**{"tensorflow-cpu": "2.21.0"})
    del node["packages"]["tensorflow"]
    check_versions(environment(), {"a": node})


@pytest.mark.parametrize(
    ("ray_version", "python", "message"),
    [
        ("2.59.1", "{python}", "Ray is {ray} here and 2.59.1 there"),
        ("{ray}", "3.12.1", "Python is {python} here and 3.12.1 there"),
        (
            "2.59.1",
            "3.12.1",
            "Ray is {ray} here and 2.59.1 there, Python is {python} here and 3.12.1 there",
        ),
    ],
)
def test_ray_s_refusal_of_a_driver_is_reported_with_both_versions(
    ray_version: str, python: str, message: str
) -> None:
    from ray._private.utils import check_version_info, compute_version_info

    here = dict(zip(("ray", "python"), compute_version_info(), strict=True))
    there = {"ray_version": ray_version.format(**here), "python_version": python.format(**here)}
    with pytest.raises(RuntimeError) as refused:
        check_version_info(there, "node 192.0.2.1")
    expected = f"{message.format(**here)}: install the same version on both"
    assert ray_version_mismatch(str(refused.value)) == expected


def test_other_messages_of_ray_are_not_about_versions() -> None:
    assert ray_version_mismatch("Failed to connect to GCS: Ray: is it there?") is None
