"""The description of a run's environment."""

from typing import Any

from bench.report.text.environment_text import environment_facts
from tests.support.sample_records import ENVIRONMENT

GPU_NODE: dict[str, Any] = {
    "gpus": [{"name": "A100"}, {"name": "A100"}],
    "driver": {"version": "580.1"},
}


def test_a_single_machine_is_described_once() -> None:
    facts = environment_facts(ENVIRONMENT)
    assert facts["Machine"] == "Model 1 CPU, 2 of 4 cores, 16.0 GB memory, Debian GNU/Linux 12"
    assert facts["GPUs"] == "none"
    assert facts["Source"] == "git revision 0123456789ab, with uncommitted changes"
    assert facts["Variables"] == "OMP_NUM_THREADS=2"


def test_identical_nodes_are_counted() -> None:
    facts = environment_facts({"driver": {}, "a": GPU_NODE, "b": GPU_NODE, "c": {"gpus": []}})
    assert facts["GPUs"] == "2 nodes: 2 × A100, driver 580.1; 1 node: none"


def test_a_driver_error_explains_why_there_are_no_gpus() -> None:
    node = {"gpus": [], "gpu_error": "the driver does not answer: reboot"}
    assert environment_facts({"driver": node})["GPUs"] == "the driver does not answer: reboot"


def test_unknown_facts_are_empty() -> None:
    assert set(environment_facts({}).values()) == {""}
