"""Profile one epoch on GPUs with TensorFlow's profiler, in a separate process.

    python -m tests.gpu.profiled_epoch FOLDER VARIANT

Prints a line of JSON: steps, bytes of the data set, the device of each replica's images, peak
device memory, and the count and largest size of copies in each direction.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from bench.spec.variant import Variant
from bench.training import runtime
from bench.training.data.pipeline import make_feed
from bench.training.device_strategy import make_replicas
from bench.training.loop.compiled_epoch import CompiledEpoch
from bench.training.loop.gradient_update import GradientUpdate
from bench.training.model.models import build_model
from tests.support.training_setup import arrays_of

_SEED = 1
_COPY = re.compile(r"Memcpy(H2D|D2H)")
_SIZE = re.compile(r"size:(\d+)")


def main(folder: Path, variant: Variant) -> dict[str, Any]:
    """Train two epochs and profile the second."""
    runtime.configure(variant, threads=2)
    replicas, arrays = make_replicas(variant), arrays_of(variant)
    feed: Any = make_feed(variant, arrays, _SEED, replicas)
    with replicas.scope():
        model = build_model(variant, arrays.shape, arrays.classes, _SEED)
        program = CompiledEpoch(
            variant, model, GradientUpdate(variant, model, replicas), feed, replicas
        )
    program.cold_start()
    program.run_epoch(0)
    runtime.take_peak_device_memory_bytes()
    tf.profiler.experimental.start(str(folder))
    result = program.run_epoch(1)
    tf.profiler.experimental.stop()
    return {
        "steps": result.steps,
        "loss": result.loss,
        "data_bytes": arrays.train_images.nbytes,
        "devices": [part.device for part in replicas.local_values(feed._images)],
        "peak_bytes": runtime.take_peak_device_memory_bytes(),
        **copies(folder),
    }


def copies(folder: Path) -> dict[str, Any]:
    """Count the copies in the GPU planes of a profile, in each direction, with the largest size."""
    by_direction: dict[str, list[int]] = {"H2D": [], "D2H": []}
    for name, details in _events(folder):
        if copied := _COPY.search(name):
            size = _SIZE.search(details)
            by_direction[copied[1]].append(int(size[1]) if size else 0)
    return {
        "copies": {way: len(sizes) for way, sizes in by_direction.items()},
        "largest_bytes": {way: max(sizes, default=0) for way, sizes in by_direction.items()},
    }


def _events(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and details of each event on a GPU."""
    # Private: TensorFlow 2.21 has the schema of its profiles nowhere else.
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    for path in folder.rglob("*.xplane.pb"):
        for plane in XSpace.FromString(path.read_bytes()).planes:
            if not plane.name.startswith("/device:GPU"):
                continue
            for event in (event for line in plane.lines for event in line.events):
                yield plane.event_metadata[event.metadata_id].name, _details(plane, event)


def _details(plane: Any, event: Any) -> str:
    """Return the profiler's details of a copy, including its size; "" for any other event."""
    for stat in event.stats:
        if plane.stat_metadata[stat.metadata_id].name == "memcpy_details":
            return str(stat.str_value or plane.stat_metadata[stat.ref_value].name)
    return ""


if __name__ == "__main__":
    variant = Variant.model_validate_json(sys.argv[2])
    print("\n" + json.dumps(main(Path(sys.argv[1]), variant)), flush=True)
