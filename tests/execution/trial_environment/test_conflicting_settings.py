"""Variables and files that contradict what a record would say are found, and no others."""

import json
import pwd
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.execution.trial_environment.conflicting_settings import conflicting_setting
from tests.support.other_users import SPECIAL, plant


def keras_home(folder: Path, **settings: Any) -> Path:
    """A folder with a keras.json of ``settings``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "keras.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KERAS_BACKEND", "torch"),
        ("KERAS_NNX_ENABLED", "true"),
        ("TF_USE_LEGACY_KERAS", "1"),
        ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"),
        ("TF_XLA_FLAGS", "--tf_xla_auto_jit=fusible"),
        ("TF_XLA_FLAGS", "--tf_xla_auto_jit=0 --tf_xla_auto_jit=1"),
        ("TF_FUNCTION_JIT_COMPILE_DEFAULT", "1"),
        ("TF_DETERMINISTIC_OPS", "true"),
        ("TF_CUDNN_DETERMINISTIC", "1"),
        ("NVIDIA_TF32_OVERRIDE", "0"),
        ("TF_ENABLE_AUTO_MIXED_PRECISION", "1"),
        ("TF_SET_ONEDNN_FPMATH_MODE", "BF16"),
        ("TF_CONV2D_USE_FP16_ACCUMULATE", "1"),
        ("TF_FP16_CONV_USE_FP32_COMPUTE", "0"),
        ("TF_FP16_MATMUL_USE_FP32_COMPUTE", "false"),
        ("TF_FP16_RNN_USE_FP32_COMPUTE", "0"),
        ("TF_OVERRIDE_GLOBAL_THREADPOOL", "1"),
        ("OMP_THREAD_LIMIT", "1"),
        ("XLA_FLAGS", "--xla_dump_to=/dump --xla_cpu_multi_thread_eigen=false"),
        ("XLA_FLAGS", "--xla_cpu_enable_fast_math"),
        ("XLA_FLAGS", "--xla_gpu_ftz=true"),
        ("XLA_FLAGS", "--xla_allow_excess_precision=false"),
    ],
)
def test_a_variable_that_contradicts_a_suite_is_named(name: str, value: str) -> None:
    assert (conflicting_setting({name: value}) or "").startswith(f"{name}={value}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KERAS_BACKEND", "tensorflow"),
        ("KERAS_BACKEND", ""),
        ("KERAS_NNX_ENABLED", "0"),
        ("TF_USE_LEGACY_KERAS", "0"),
        ("TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory=/cache"),
        ("TF_XLA_FLAGS", "--tf_xla_auto_jit=2 --tf_xla_auto_jit=0"),
        ("TF_XLA_FLAGS", "/no/such/file"),
        ("TF_FUNCTION_JIT_COMPILE_DEFAULT", "false"),
        ("TF_DETERMINISTIC_OPS", "0"),
        ("NVIDIA_TF32_OVERRIDE", ""),
        ("TF_SET_ONEDNN_FPMATH_MODE", "STRICT"),
        ("TF_ENABLE_ONEDNN_OPTS", "0"),
        ("TF_CONV2D_USE_FP16_ACCUMULATE", "0"),
        ("TF_FP16_MATMUL_USE_FP32_COMPUTE", "1"),
        ("TF_OVERRIDE_GLOBAL_THREADPOOL", "false"),
        ("XLA_FLAGS", "--xla_gpu_autotune_level=0"),
        ("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false --xla_cpu_multi_thread_eigen=true"),
        ("XLA_FLAGS", "--xla_cpu_enable_fast_math=false"),
        ("KERAS_HOME", "/no/such/folder"),
    ],
)
def test_a_variable_that_does_not_contradict_a_suite_is_accepted(name: str, value: str) -> None:
    assert conflicting_setting({name: value}) is None


def test_flags_are_read_from_the_file_that_the_variable_names(tmp_path: Path) -> None:
    (tmp_path / "flags").write_text("--tf_xla_min_cluster_size=2\n--tf_xla_auto_jit=2\n")
    assert conflicting_setting({"TF_XLA_FLAGS": str(tmp_path / "flags")}) is not None


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [*SPECIAL, "link to a device", "huge"])
def test_special_files_are_read_neither_for_keras_nor_for_flags(tmp_path: Path, kind: str) -> None:
    plant(kind, tmp_path / "keras.json")
    assert conflicting_setting({"KERAS_HOME": str(tmp_path)}) is None
    assert conflicting_setting({"TF_XLA_FLAGS": str(tmp_path / "keras.json")}) is None


def test_a_keras_json_is_refused_for_what_keras_cannot_change_later(tmp_path: Path) -> None:
    other = {"KERAS_HOME": str(keras_home(tmp_path / "jax", backend="jax"))}
    assert str(tmp_path / "jax" / "keras.json") in (conflicting_setting(other) or "")
    assert conflicting_setting({**other, "KERAS_BACKEND": "tensorflow"}) is None
    nnx = {"KERAS_HOME": str(keras_home(tmp_path / "nnx", nnx_enabled=True))}
    assert conflicting_setting(nnx) is not None
    assert conflicting_setting({**nnx, "KERAS_NNX_ENABLED": "0"}) is None
    pinned = keras_home(tmp_path / "pinned", floatx="float16", image_data_format="channels_first")
    assert conflicting_setting({"KERAS_HOME": str(pinned)}) is None


def test_keras_json_is_searched_in_the_home_folder(tmp_path: Path) -> None:
    keras_home(tmp_path / ".keras", backend="torch")
    assert conflicting_setting({"HOME": str(tmp_path)}) is not None


def test_without_home_keras_json_is_searched_in_the_system_s_home_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras_home(tmp_path / ".keras", backend="torch")
    monkeypatch.delenv("HOME", raising=False)
    user = SimpleNamespace(pw_dir=str(tmp_path))
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: user)
    assert conflicting_setting({}) is not None


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "\N{SNOWMAN}"])
def test_a_damaged_keras_json_is_ignored_as_by_keras(tmp_path: Path, text: str) -> None:
    (tmp_path / "keras.json").write_text(text)
    assert conflicting_setting({"KERAS_HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(("flag", "refused"), [("-O", False), ("-OO", True)])
def test_a_python_that_drops_docstrings_is_refused(flag: str, refused: bool) -> None:
    module = "bench.execution.trial_environment.conflicting_settings"
    code = f"from {module} import python_conflict; print(python_conflict())"
    run = subprocess.run([sys.executable, flag, "-c", code], capture_output=True, text=True)
    assert ("PYTHONOPTIMIZE" in run.stdout) is refused, run.stderr
