"""Epochs with many windows, augmented copies, loss scaling or streams copy as little as possible.

Kernels compute nothing here, so losses are garbage and ignored.
"""

from typing import Any

import pytest

from bench.spec.variant import Variant
from bench.training.data.windows import split_windows
from tests.cuda.measured_epoch import MeasuredEpoch, NotMeasured, measure
from tests.cuda.stack import Stack
from tests.support.training_setup import variant_of

pytestmark = pytest.mark.slow

BATCH = 16
EXAMPLE_BYTES = 28 * 28 + 8 + 8
"""An image, a label and an index."""

CASES: dict[str, dict[str, Any]] = {
    # The first of the process: TensorFlow keeps scalars that it has copied before.
    "compiled windows": {"jit": "epoch"},
    "several windows": {},
    "augmented": {"examples": 11_000, "max_steps": 100},
    "bijection": {"examples": 11_000_000, "max_steps": 100},
    "loss scaling": {"precision": "mixed_float16", "max_steps": 100},
    "clipping": {"clip": "global_norm", "max_steps": 100},
    "stream": {"pipeline": "tfdata", "max_steps": 100},
}


def variant(case: str) -> Variant:
    common = {"dataset": "synthetic", "examples": 5500, "hidden": (20,), "epochs": 1}
    return variant_of(**{**common, "global_batch_size": BATCH, "jit": "none", **CASES[case]})


@pytest.fixture(scope="module")
def measured(
    cuda_stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, MeasuredEpoch | NotMeasured]:
    """Measure all cases in one process."""
    folder = tmp_path_factory.mktemp("counts")
    epochs = measure(cuda_stack, [variant(case) for case in CASES], 1, folder)
    return dict(zip(CASES, epochs, strict=True))


@pytest.mark.parametrize("case", [case for case in CASES if case != "stream"])
def test_an_epoch_is_one_upload_and_one_read_in_every_case(
    measured: dict[str, MeasuredEpoch | NotMeasured], case: str
) -> None:
    epoch = measured[case]
    assert isinstance(epoch, MeasuredEpoch), epoch
    (device,) = epoch.epoch.devices
    assert epoch.steps >= 100
    # The initial loss scale of an epoch is read before its time starts.
    reads = 2 if case == "loss scaling" else 1
    assert (device.d2h_copies, device.h2d_big_copies) == (reads, 0)
    # The key of a bijection is uploaded once, and the position at which each window starts.
    windows = len(list(split_windows(epoch.steps)))
    assert device.h2d_copies <= (1 + windows if case == "bijection" else 2)


def test_a_stream_uploads_bytes_and_reads_nothing(
    measured: dict[str, MeasuredEpoch | NotMeasured],
) -> None:
    epoch = measured["stream"]
    assert isinstance(epoch, MeasuredEpoch), epoch
    (device,) = epoch.epoch.devices
    uploaded = epoch.steps * BATCH * EXAMPLE_BYTES
    # Prefetching adds a few batches, and the loop reads a clock to time its waits.
    assert uploaded <= device.h2d_bytes <= 1.1 * uploaded + epoch.steps * 16
    assert device.d2h_copies <= 2
