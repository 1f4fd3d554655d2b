"""All pipelines feed the same examples, and their windows cover an epoch."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from bench.datasets.arrays import Arrays
from bench.spec.variant import Variant
from bench.training.data.pipeline import make_feed
from bench.training.data.shuffle import Shuffle
from bench.training.device_strategy import make_replicas
from tests.support.training_setup import arrays_of, small

Batch = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))


def with_indices(variant: Variant) -> Arrays:
    """Return arrays whose labels are the examples' indices, to identify them."""
    arrays = arrays_of(variant)
    count = len(arrays.train_images)
    return Arrays(**{**vars(arrays), "train_labels": np.arange(count, dtype=np.int32)})


def batches(variant: Variant, epochs: range, arrays: Arrays | None = None) -> list[Batch]:
    """Return every batch of these epochs, in the order of the training loop."""
    feed = make_feed(variant, arrays or with_indices(variant), 5, make_replicas(variant))
    actual = []
    for epoch in epochs:
        for steps, inputs in feed.windows(epoch):
            for step in range(steps):
                images, labels = feed.batch(*feed.fetch(tf.constant(step), *inputs))
                actual.append((images.numpy(), labels.numpy()))
    return actual


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"augment": "always"},
        {"precision": "float64"},
        {"examples": 1500},
        {"examples": 60},
        {"max_steps": 5},
    ],
    ids=["plain", "augmented", "float64", "more examples than are stored", "one step", "capped"],
)
def test_device_and_tfdata_feed_the_same_batches(axes: dict[str, Any]) -> None:
    arrays = with_indices(small())
    on_device = batches(small(**axes), range(3), arrays)
    through_tfdata = batches(small(**axes, pipeline="tfdata"), range(3), arrays)
    assert len(on_device) == 3 * small(**axes).steps_per_epoch
    for (mine, my_labels), (theirs, their_labels) in zip(on_device, through_tfdata, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(my_labels, their_labels)


@pytest.mark.parametrize("axes", [{}, {"examples": 1500}, {"augment": "always"}])
def test_files_hold_the_same_examples_as_the_other_pipelines(axes: dict[str, Any]) -> None:
    arrays = with_indices(small())

    def examples(pipeline: str) -> list[tuple[int, bytes]]:
        actual = batches(small(**axes, pipeline=pipeline, global_batch_size=50), range(1), arrays)
        return sorted(
            (int(y), x.tobytes()) for xs, ys in actual for x, y in zip(xs, ys, strict=True)
        )

    assert examples("tfrecord") == examples("device")


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_each_example_comes_once_an_epoch_and_the_rest_is_left_out(pipeline: str) -> None:
    variant = small(pipeline=pipeline)
    assert (variant.examples, variant.global_batch_size) == (700, 32)
    for epoch in range(2):
        indices = np.concatenate([labels for _, labels in batches(variant, range(epoch + 1))[-21:]])
        assert len(indices) == len(set(indices.tolist())) == 21 * 32


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_a_capped_epoch_is_the_beginning_of_a_full_one(pipeline: str) -> None:
    full, capped = (batches(small(pipeline=pipeline, max_steps=m), range(2)) for m in (21, 5))
    starts = [*full[:5], *full[21:26]]
    for (_, labels), (_, expected) in zip(capped, starts, strict=True):
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("pipeline", ["device", "tfrecord"])
def test_each_epoch_leaves_out_different_examples(pipeline: str) -> None:
    variant = small(pipeline=pipeline)
    labels = np.array([y for _, y in batches(variant, range(4))]).reshape(4, -1)
    left_out = [frozenset(range(700)) - set(epoch.tolist()) for epoch in labels]
    assert {len(indices) for indices in left_out} == {28}
    assert len(set(left_out)) == 4


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_the_order_does_not_depend_on_a_global_seed(
    pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseeded, seeded = batches(small(pipeline=pipeline), range(1)), []
    for seed in (1, 2):
        # There is no public way to unset the seed.
        monkeypatch.setattr(context.context(), "_seed", seed)
        seeded.append(batches(small(pipeline=pipeline), range(1)))
    for of_seed in seeded:
        for (_, ours), (_, theirs) in zip(of_seed, unseeded, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_images_are_bytes_over_255_and_belong_to_their_labels() -> None:
    variant = small()
    arrays = with_indices(variant)
    for images, labels in batches(variant, range(1), arrays):
        assert images.dtype == np.float32
        np.testing.assert_allclose(images, arrays.train_images[labels] / 255.0, rtol=1e-6)


def test_copies_come_as_often_as_originals() -> None:
    variant = small(examples=700, global_batch_size=100, augment="never")
    arrays = _first(with_indices(variant), 100)
    indices = Counter(np.concatenate([y for _, y in batches(variant, range(1), arrays)]).tolist())
    assert indices == dict.fromkeys(range(100), 7)


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_auto_augments_only_copies_and_never_augments_none(pipeline: str) -> None:
    def count_changed(augment: str, stored: int) -> int:
        variant = small(augment=augment, pipeline=pipeline, examples=640)
        arrays = _first(with_indices(variant), stored)
        actual = batches(variant, range(1), arrays)
        images, labels = (np.concatenate(part) for part in zip(*actual, strict=True))
        same = np.isclose(images, arrays.train_images[labels] / 255.0).all((1, 2, 3))
        return int((~same).sum())

    assert count_changed("auto", 640) == 0
    assert count_changed("never", 64) == 0
    assert count_changed("always", 640) == 0
    # Few copies are neither flipped nor shifted and have almost the same contrast.
    assert 570 < count_changed("auto", 64) <= 576
    assert count_changed("always", 64) == count_changed("auto", 64)


def test_fewer_examples_than_stored_are_the_first_ones() -> None:
    variant = small(examples=64)
    arrays = with_indices(small(examples=700))
    indices = np.concatenate([y for _, y in batches(variant, range(1), arrays)])
    assert sorted(indices.tolist()) == list(range(64))


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_a_repeated_or_reordered_epoch_starts_at_its_first_example(
    pipeline: str,
) -> None:
    variant = small(pipeline=pipeline)
    feed = make_feed(variant, with_indices(variant), 5, make_replicas(variant))

    def first_labels(epoch: int) -> list[int]:
        _, inputs = next(iter(feed.windows(epoch)))
        _, labels = feed.batch(*feed.fetch(tf.constant(0), *inputs))
        return [int(label) for label in labels]

    in_order = [labels.tolist() for _, labels in batches(variant, range(3))[::21]]
    assert [first_labels(epoch) for epoch in (2, 0, 0)] == [in_order[2], in_order[0], in_order[0]]


def test_tfdata_prepares_nothing_of_the_next_epoch_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    epochs, epoch_order = [], Shuffle.epoch_order

    def record(order: Shuffle, epoch: Any) -> Any:
        recorded = tf.py_function(lambda e: epochs.append(int(e)), [epoch], [])
        with tf.control_dependencies([recorded]):
            return epoch_order(order, tf.identity(epoch))

    monkeypatch.setattr(Shuffle, "epoch_order", record)
    variant = small(pipeline="tfdata")
    feed = make_feed(variant, with_indices(variant), 5, make_replicas(variant))
    count = 0
    for steps, (iterator,) in feed.windows(0):
        count += sum(1 for _ in itertools.islice(iterator, steps))
    assert (count, epochs) == (21, [0])
    # The iterator has ended.
    assert list(iterator) == []


def test_the_pipeline_is_traced_once_for_all_epochs() -> None:
    traces, epoch_order = [], Shuffle.epoch_order
    variant = small(pipeline="tfdata")

    def record(order: Shuffle, epoch: Any) -> Any:
        traces.append(epoch)
        return epoch_order(order, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shuffle, "epoch_order", record)
        feed = make_feed(variant, with_indices(variant), 5, make_replicas(variant))
        for epoch in range(3):
            next(iter(feed.windows(epoch)))
    assert len(traces) == 1


def test_labels_are_int64_which_a_gpu_keeps_on_the_device() -> None:
    for pipeline in ("device", "tfdata", "tfrecord"):
        assert {y.dtype.name for _, y in batches(small(pipeline=pipeline), range(1))} == {"int64"}


def _first(arrays: Arrays, count: int) -> Arrays:
    """Return ``arrays`` with only the first ``count`` training examples."""
    first = {
        "train_images": arrays.train_images[:count],
        "train_labels": arrays.train_labels[:count],
    }
    return Arrays(**{**vars(arrays), **first})
