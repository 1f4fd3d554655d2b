"""TensorFlow's settings of a process, each in a process of its own."""

import json
from typing import Any

import pytest
import tensorflow as tf

from bench.training import runtime
from tests.training_made import run_fresh, variant_of

_CODE = """
import json
from bench.spec.variant import Variant
from bench.training import runtime
import tensorflow as tf
variant = Variant.model_validate_json({variant!r})
runtime.configure(variant, threads={threads})
tf.zeros(1)
{more}
print(json.dumps([runtime.describe(variant), runtime.device_names()]))
"""


def described(threads: int = 1, more: str = "", **asked: Any) -> tuple[dict[str, Any], list[str]]:
    code = _CODE.format(variant=variant_of(**asked).model_dump_json(), threads=threads, more=more)
    resolved, devices = json.loads(run_fresh(code).splitlines()[-1])
    return resolved, devices


def test_threads_precision_and_determinism_are_set_and_told() -> None:
    resolved, devices = described(threads=3, deterministic=True, precision="mixed_bfloat16")
    assert (resolved["intra_op_threads"], resolved["inter_op_threads"]) == (3, 3)
    assert resolved["deterministic"] is True
    assert resolved["policy"] == "mixed_bfloat16"
    assert resolved["xla"] is True
    assert devices == ["CPU:0"]


def test_a_second_trial_in_a_process_must_use_its_threads() -> None:
    again = (
        "runtime.configure(variant, threads=3)\n"
        "try: runtime.configure(variant, threads=2)\n"
        "except RuntimeError: pass\n"
        "else: raise AssertionError('threads changed')"
    )
    assert described(threads=3, more=again)[0]["intra_op_threads"] == 3


def test_tf32_follows_the_precision_and_is_not_claimed_without_a_gpu() -> None:
    check = (
        "enabled = tf.config.experimental.tensor_float_32_execution_enabled\n"
        "assert not enabled()\n"
        "variant = variant.model_copy(update={'precision': 'float32'})\n"
        "runtime.configure(variant, threads=1)\n"
        "assert enabled()"
    )
    assert described(precision="float32_strict", more=check)[0]["tf32"] is False


def test_mirrored_replicas_have_a_logical_device_each() -> None:
    _, devices = described(strategy="mirrored", replicas=3)
    assert devices == ["CPU:0", "CPU:1", "CPU:2"]


def test_device_memory_is_that_of_the_fullest_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {"GPU:0": 10, "GPU:1": 30, "GPU:2": 20}
    seen = list(peaks)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: seen)
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"peak": peaks[name]}
    )
    monkeypatch.setattr(
        tf.config.experimental, "reset_memory_stats", lambda name: peaks.update({name: 5})
    )
    assert runtime.take_peak_device_memory_bytes() == 30
    # What was taken is counted anew.
    assert runtime.take_peak_device_memory_bytes() == 5
    seen.clear()
    assert runtime.take_peak_device_memory_bytes() is None
