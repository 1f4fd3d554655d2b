"""Executors by name."""

import subprocess
import sys
from typing import Any

import pytest

from bench.errors import UsageError
from bench.execution.executor_registry import make_executor


@pytest.mark.parametrize("name", ["ray", "inprocess", "simulated"])
def test_an_executor_is_made_by_its_name(name: str) -> None:
    assert make_executor(name).name == name


def test_an_unknown_name_is_refused_with_the_known_names() -> None:
    with pytest.raises(UsageError, match="no executor 'slurm': use ray, inprocess or simulated"):
        make_executor("slurm")


def test_only_the_named_executor_is_imported() -> None:
    script = (
        "import sys; from bench.execution.executor_registry import make_executor; "
        "make_executor('simulated'); print({'ray', 'tensorflow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["inprocess", "simulated"])
@pytest.mark.parametrize(
    "asked", [{"address": "here:6379"}, {"device": "cpu"}, {"network": "10.0.0.0/24"}]
)
def test_options_that_an_executor_cannot_use_are_refused(name: str, asked: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"are for the executor ray, not for {name}"):
        make_executor(name, **asked)
