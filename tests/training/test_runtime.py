"""TensorFlow's process-wide settings, each in a fresh process."""

import json
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from bench.training import runtime
from tests.support.training_setup import run_fresh, small, train_fresh, variant_of

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


def describe(threads: int = 1, more: str = "", **axes: Any) -> tuple[dict[str, Any], list[str]]:
    code = _CODE.format(variant=variant_of(**axes).model_dump_json(), threads=threads, more=more)
    resolved, devices = json.loads(run_fresh(code).splitlines()[-1])
    return resolved, devices


def test_threads_precision_and_determinism_are_set_and_reported() -> None:
    resolved, devices = describe(threads=3, deterministic=True, precision="mixed_bfloat16")
    assert (resolved["intra_op_threads"], resolved["inter_op_threads"]) == (3, 3)
    assert resolved["deterministic"] is True
    assert resolved["policy"] == "mixed_bfloat16"
    assert resolved["xla"] is True
    assert devices == ["CPU:0"]


@pytest.mark.slow
def test_a_keras_json_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    convnet = small(workload="convnet", shape=[4, 6, 1], norm="bn_post", epochs=1)
    configured = train_fresh(convnet)
    monkeypatch.delenv("KERAS_HOME")
    plain = train_fresh(convnet)
    assert configured.status == plain.status == "completed", configured.log_tail
    assert configured.measures.parameters == plain.measures.parameters
    assert configured.measures.weights_l2 == plain.measures.weights_l2
    assert configured.resolved["keras_settings"] == plain.resolved["keras_settings"]
    assert plain.resolved["keras_settings"] == {
        "image_data_format": "channels_last",
        "floatx": "float32",
        "epsilon": 1e-7,
    }


def test_a_changed_process_setting_is_reported_by_its_axis() -> None:
    more = """
import keras
from bench.errors import UsageError
for change, axis in (
    (lambda: tf.config.experimental.enable_tensor_float_32_execution(False), 'precision'),
    (lambda: tf.config.experimental.enable_op_determinism(), 'deterministic'),
    (lambda: tf.config.optimizer.set_jit('autoclustering'), 'jit'),
    (lambda: tf.config.run_functions_eagerly(True), 'jit'),
    (lambda: keras.config.set_image_data_format('channels_first'), 'image_data_format'),
    (lambda: keras.config.set_floatx('float16'), 'floatx'),
    (lambda: keras.config.set_epsilon(1e-3), 'epsilon'),
):
    before = runtime.current_settings()
    runtime.check_unchanged(before, 'nets:net')
    change()
    try: runtime.check_unchanged(before, 'nets:net')
    except UsageError as error: assert axis in str(error), error
    else: raise AssertionError(axis)
"""
    describe(more=more)


MODULE = """
import keras, tensorflow as tf
{setting}

def net(layers, images):
    x = layers.flatten()(images)
    for width in layers.variant.hidden:
        x = layers.hidden(layers.dense(width), x)
    return x
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "axis"),
    [
        ("tf.config.run_functions_eagerly(True)", "jit"),
        ("keras.config.set_epsilon(1e-5)", "epsilon"),
    ],
)
def test_a_workload_module_that_changes_a_setting_fails_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, axis: str
) -> None:
    (tmp_path / "changing_settings.py").write_text(MODULE.format(setting=setting))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path.cwd()}")
    record = train_fresh(small(workload="changing_settings:net", filters=[32, 64], epochs=1))
    assert record.status == "failed"
    assert axis in (record.error or "")


@pytest.mark.slow
@pytest.mark.parametrize("value", ["0", "false"])
def test_onednn_is_off_if_its_variable_says_so(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", value)
    assert describe()[0]["onednn"] is False


def test_a_second_trial_in_a_process_must_use_its_threads() -> None:
    again = (
        "from bench.errors import ResourceError\n"
        "runtime.configure(variant, threads=3)\n"
        "try: runtime.configure(variant, threads=2)\n"
        "except ResourceError: pass\n"
        "else: raise AssertionError('threads changed')"
    )
    assert describe(threads=3, more=again)[0]["intra_op_threads"] == 3


@pytest.mark.slow
def test_tf32_follows_the_precision_and_is_off_without_a_gpu() -> None:
    check = (
        "enabled = tf.config.experimental.tensor_float_32_execution_enabled\n"
        "assert not enabled()\n"
        "variant = variant.model_copy(update={'precision': 'float32'})\n"
        "runtime.configure(variant, threads=1)\n"
        "assert enabled()"
    )
    assert describe(precision="float32_strict", more=check)[0]["tf32"] is False


@pytest.mark.slow
def test_each_mirrored_replica_has_a_logical_device() -> None:
    _, devices = describe(strategy="mirrored", replicas=3)
    assert devices == ["CPU:0", "CPU:1", "CPU:2"]


def test_peak_memory_is_the_maximum_over_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {"GPU:0": 10, "GPU:1": 30, "GPU:2": 20}
    visible = list(peaks)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: visible)
    monkeypatch.setattr(
        tf.config.experimental, "get_memory_info", lambda name: {"peak": peaks[name]}
    )
    monkeypatch.setattr(
        tf.config.experimental, "reset_memory_stats", lambda name: peaks.update({name: 5})
    )
    assert runtime.take_peak_device_memory_bytes() == 30
    # The first call has reset the peaks.
    assert runtime.take_peak_device_memory_bytes() == 5
    visible.clear()
    assert runtime.take_peak_device_memory_bytes() is None
