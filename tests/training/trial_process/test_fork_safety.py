"""A process is forked only if a child would lack nothing."""

import json
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path

import pytest

from bench.training.trial_process import fork_safety
from bench.training.trial_process.fork_safety import import_modules, why_not_fork


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The threads of a process in which no other test has used TensorFlow or Ray."""
    threads = Counter({"python": 1})
    monkeypatch.setattr(fork_safety, "_thread_names", threads.copy)
    name = "tensorflow.python.eager.context"
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    return threads


def test_a_process_as_it_was_may_be_forked(alone: Counter[str]) -> None:
    assert why_not_fork(alone) is None


def test_a_new_thread_forbids_forking() -> None:
    command = [sys.executable, "-c", _THREAD]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("the import started threads: ")


_THREAD = """
import threading
from bench.training.trial_process import fork_safety
before = fork_safety._thread_names()
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(fork_safety.why_not_fork(before))
"""


def test_an_open_device_forbids_forking(
    alone: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "nvidia0"
    monkeypatch.setattr(fork_safety, "_DEVICE_FILES", (str(tmp_path / "nvidia"),))
    with device.open("wb"):
        assert why_not_fork(alone) == f"the import opened {device}"
    assert why_not_fork(alone) is None


@pytest.mark.parametrize(("initialized", "forbids"), [(True, True), (False, False)])
def test_initialized_devices_forbid_forking(
    alone: Counter[str], monkeypatch: pytest.MonkeyPatch, initialized: bool, forbids: bool
) -> None:
    module = types.ModuleType("tensorflow.python.eager.context")
    vars(module)["_context"] = types.SimpleNamespace(_initialized=initialized)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert (why_not_fork(alone) is not None) == forbids


def test_a_missing_module_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_modules(["bench.no_such_module"])


@pytest.mark.slow
def test_the_installed_tensorflow_may_be_forked_until_it_computes() -> None:
    command = [sys.executable, "-c", _TENSORFLOW]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    reasons = json.loads(printed.splitlines()[-1])
    assert reasons[0] is None, f"forking does not hold for this TensorFlow: {reasons[0]}"
    assert reasons[1] == "the import initialized TensorFlow's devices"


_TENSORFLOW = """
import json
from collections import Counter
from bench.training.trial_process.fork_safety import import_modules, why_not_fork
first = import_modules(["bench.training.trial"])
import tensorflow as tf
tf.constant(1)
print(json.dumps([first, why_not_fork(Counter())]))
"""
