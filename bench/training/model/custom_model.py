"""Import and call a user's workload, and check that it uses the variant's settings.

Usage:
    features = custom_features("my_nets:towers", layers, images, classes=10, seed=7)

If a network ignored an axis, trials with different values of it would be the same. ``Layers``
therefore records which settings a function reads, and a setting that is not at its default and
not read ends the trial.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import random
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bench.spec.axis_groups import NETWORK_AXES
from bench.spec.defaults import fill_defaults
from bench.spec.error_text import value_text
from bench.spec.suggestion import nearest
from bench.spec.variant import Variant
from bench.spec.variant_rules import inactive_settings
from bench.training.exceptions import WorkloadError
from bench.training.model.head_detection import detect_head
from bench.training.model.layers import Layers
from bench.training.tensorflow_refusal import chain

_Tensor = Any

_DIGITS = 10


def custom_features(name: str, layers: Layers, images: _Tensor, classes: int, seed: int) -> _Tensor:
    """Call the function ``name`` on ``images`` and return its features: (images, features).

    Layers without a dtype get that of the variant's precision, and random numbers without a seed
    follow from ``seed``. WorkloadError if the function cannot be imported, returns anything else,
    ends in a head for ``classes``, or ignores a setting of the variant.
    """
    with _seeded(seed):
        function = _import_function(name)
        with _default_policy(layers.kind.policy):
            features = function(layers, images)
    if not isinstance(features, keras.KerasTensor) or len(features.shape) != 2:
        raise WorkloadError(
            f"workload {name} must return the features of each image as one tensor of "
            f"shape (images, features), not {_describe(features)}"
        )
    if head := detect_head(images, features, classes, layers.variant.activation):
        raise WorkloadError(
            f"workload {name} ends in {head}: return the features before it, since bench adds the "
            "last layer and its softmax; features of that width need an activation"
        )
    _check_read(name, layers)
    return features


def workload_source(variant: Variant) -> dict[str, str]:
    """Return a fingerprint of the Python files in a custom workload's package.

    It is empty if there are none that can be read.
    """
    files, digest = _files(variant), hashlib.sha256()
    for name, file in files:
        digest.update(f"{name}\0".encode() + file.read_bytes())
    return {"workload_source": digest.hexdigest()[:_DIGITS]} if files else {}


def workload_line(error: BaseException, variant: Variant) -> str | None:
    """Return the last file and line of a custom workload's package in ``error``'s traceback."""
    names = {
        str(file): file.name if name == Path() else str(name) for name, file in _files(variant)
    }
    for link in chain(error):
        frames = [
            f"{names[frame.f_code.co_filename]}, line {line}"
            for frame, line in traceback.walk_tb(link.__traceback__)
            if frame.f_code.co_filename in names
        ]
        if frames:
            return frames[-1]
    return None


def _files(variant: Variant) -> list[tuple[Path, Path]]:
    """Return the Python files of a workload's package: path inside it, and path on this machine."""
    package = variant.workload.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(package) if variant.has_custom_workload else None
    except ValueError:  # such as __main__, which has no spec
        spec = None
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if folders:
        return sorted((file.relative_to(f), file) for f in folders for file in f.rglob("*.py"))
    file = Path(spec.origin or "")
    return [(Path(file.name), file)] if file.is_file() else []


def _import_function(name: str) -> Callable[[Layers, _Tensor], _Tensor]:
    path, _, function = name.partition(":")
    try:
        module = importlib.import_module(path)
    except (ImportError, SystemExit) as error:
        raise WorkloadError(
            f"workload {name} cannot be imported on {socket.gethostname()} ({error}): "
            "install its package on every node"
        ) from error
    workload: Callable[[Layers, _Tensor], _Tensor] | None = getattr(module, function, None)
    if not callable(workload):
        functions = [key for key, value in vars(module).items() if callable(value)]
        raise WorkloadError(
            f"workload {name}: no function {function} in {path}{nearest(function, functions)}"
        )
    return workload


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all random numbers in the block, then restore those of Python and NumPy."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def _default_policy(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_read(name: str, layers: Layers) -> None:
    # Copy first: reading settings below is recorded too.
    defaults, read = fill_defaults({}), frozenset(layers.read)
    inactive = inactive_settings(layers.variant)
    for axis in NETWORK_AXES:
        value = getattr(layers.variant, axis)
        if axis not in read | inactive.keys() and value != defaults[axis]:
            raise WorkloadError(
                f"workload {name} does not use {axis}, which is {value_text(value)}: "
                "build the network with the methods of layers, or remove it from the suite"
            )


def _describe(features: Any) -> str:
    shape = getattr(features, "shape", None)
    return f"one of shape {shape}" if shape is not None else type(features).__name__
