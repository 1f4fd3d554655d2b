"""Workloads of the user's own: imported, called, and held to what the variant says.

Usage:
    features = custom_features("own_nets:towers", layers, images)

An axis that a network was not built with would divide its trials into arms that are the same.
What a function reads of its variant, by itself or through ``Layers``, is therefore noted, and a
setting that it passes by ends the trial. One that it leaves at its default is no such arm.
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

from bench.spec.defaults import fill_defaults
from bench.spec.error_text import value_text
from bench.spec.inert_settings import inert_settings
from bench.spec.suggestion import nearest
from bench.spec.variant import Variant
from bench.training.failures import WorkloadError
from bench.training.model.head_detection import detect_head
from bench.training.model.layers import Layers
from bench.training.refusals import chain

_Tensor = Any

NETWORK_AXES = ("hidden", "depth", "filters", "initializer", "activation", "norm", "batch_norm")
"""What acts through a network that is built with it, and not otherwise."""
_DIGITS = 10


def custom_features(name: str, layers: Layers, images: _Tensor, classes: int, seed: int) -> _Tensor:
    """What the function ``name`` makes of ``images``: (images, features).

    Layers that it makes without a dtype get that of the variant's precision, and what it draws
    without a seed of its own follows from ``seed``. WorkloadError where it is not to be had, gives
    anything else, ends in a head for ``classes``, or passes by what the variant sets.
    """
    with _seeded(seed):
        function = _imported(name)
        with _default_policy(layers.kind.policy):
            features = function(layers, images)
    if not isinstance(features, keras.KerasTensor) or len(features.shape) != 2:
        raise WorkloadError(
            f"workload {name} must return the features of each image as one tensor of "
            f"shape (images, features), not {_described(features)}"
        )
    if head := detect_head(images, features, classes, layers.variant.activation):
        raise WorkloadError(
            f"workload {name} ends in {head}: return the features before it, since the last layer "
            "and its softmax are added to them; features of that width need an activation"
        )
    _check_read(name, layers)
    return features


def workload_source(variant: Variant) -> dict[str, str]:
    """A fingerprint of the package of a workload of one's own, so that a change of it shows.

    Of its Python files; nothing where it has none that can be read.
    """
    files, found = _files(variant), hashlib.sha256()
    for name, file in files:
        found.update(f"{name}\0".encode() + file.read_bytes())
    return {"workload_source": found.hexdigest()[:_DIGITS]} if files else {}


def workload_line(error: BaseException, variant: Variant) -> str | None:
    """File and line of the package of a workload of one's own that ``error`` came through last."""
    known = {
        str(file): file.name if name == Path() else str(name) for name, file in _files(variant)
    }
    for link in chain(error):
        frames = [
            f"{known[frame.f_code.co_filename]}, line {line}"
            for frame, line in traceback.walk_tb(link.__traceback__)
            if frame.f_code.co_filename in known
        ]
        if frames:
            return frames[-1]
    return None


def _files(variant: Variant) -> list[tuple[Path, Path]]:
    """The Python files of a workload's package, each by its path within it and on this machine."""
    package = variant.workload.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(package) if variant.has_own_workload else None
    except ValueError:  # such as __main__, which has no place
        spec = None
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if folders:
        return sorted((file.relative_to(f), file) for f in folders for file in f.rglob("*.py"))
    file = Path(spec.origin or "")
    return [(Path(file.name), file)] if file.is_file() else []


def _imported(name: str) -> Callable[[Layers, _Tensor], _Tensor]:
    path, _, function = name.partition(":")
    try:
        module = importlib.import_module(path)
    except (ImportError, SystemExit) as error:
        raise WorkloadError(
            f"workload {name} cannot be imported on {socket.gethostname()} ({error}): "
            "install its package on every node"
        ) from error
    own: Callable[[Layers, _Tensor], _Tensor] | None = getattr(module, function, None)
    if not callable(own):
        functions = [key for key, value in vars(module).items() if callable(value)]
        raise WorkloadError(
            f"workload {name}: no function {function} in {path}{nearest(function, functions)}"
        )
    return own


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` within; the caller's own draws of Python and NumPy go on after it."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


@contextlib.contextmanager
def _default_policy(policy: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_read(name: str, layers: Layers) -> None:
    # What is asked now is noted as well.
    usual, read = fill_defaults({}), frozenset(layers.read)
    inert = inert_settings(layers.variant)
    for axis in NETWORK_AXES:
        value = getattr(layers.variant, axis)
        if axis not in read | inert and value != usual[axis]:
            raise WorkloadError(
                f"workload {name} does not use {axis}, which is {value_text(value)}: "
                "build with layers what is to vary, or leave it out of the suite"
            )


def _described(features: Any) -> str:
    shape = getattr(features, "shape", None)
    return f"one of shape {shape}" if shape is not None else type(features).__name__
