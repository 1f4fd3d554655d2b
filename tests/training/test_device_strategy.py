"""The all-reduce is chosen and recorded, and refused if TensorFlow does not support it.

``test_replicas`` tests that its sums are right.
"""

import pytest

from bench.training.device_strategy import make_replicas
from bench.training.exceptions import UnsupportedProgram
from tests.support.training_setup import small, train_fresh


@pytest.mark.slow
def test_nccl_on_cpus_of_one_process_is_unsupported_with_tensorflows_reason() -> None:
    record = train_fresh(small(strategy="mirrored", replicas=2, all_reduce="nccl"))
    assert record.status == "unsupported"
    assert (record.error or "").startswith(
        "No OpKernel was registered to support Op 'NcclAllReduce'"
    )
    assert record.resolved["reduction"] == "NcclAllReduce"


def test_nccl_on_cpus_of_several_workers_is_unsupported() -> None:
    # TensorFlow would use a ring instead.
    variant = small(strategy="multi_worker", workers=2, all_reduce="nccl")
    with pytest.raises(UnsupportedProgram, match="NCCL sums only on GPUs"):
        make_replicas(variant)


@pytest.mark.slow
def test_without_communication_all_reduce_has_no_effect() -> None:
    settings = {"strategy": "mirrored", "replicas": 2, "communication": "none"}
    record = train_fresh(small(**settings, all_reduce="nccl", epochs=1))
    assert record.status == "completed", record.log_tail
    assert record.resolved["reduction"] is None
