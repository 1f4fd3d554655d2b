"""Two pipelines, one sequence of batches; windows that cover an epoch."""

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
from bench.training.strategy import make_replicas
from tests.support.training_setup import arrays_of, small

Batch = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))


def numbered(variant: Variant) -> Arrays:
    """Arrays whose labels are the examples' own numbers, so that each can be told."""
    arrays = arrays_of(variant)
    count = len(arrays.train_images)
    return Arrays(**{**vars(arrays), "train_labels": np.arange(count, dtype=np.int32)})


def batches(variant: Variant, epochs: range, arrays: Arrays | None = None) -> list[Batch]:
    """Every batch of these epochs, in order, as the training loop would take them."""
    feed = make_feed(variant, arrays or numbered(variant), 5, make_replicas(variant))
    found = []
    for epoch in epochs:
        for steps, inputs in feed.windows(epoch):
            for step in range(steps):
                images, labels = feed.batch(*feed.fetch(tf.constant(step), *inputs))
                found.append((images.numpy(), labels.numpy()))
    return found


@pytest.mark.parametrize(
    "asked",
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
def test_both_pipelines_give_exactly_the_same_batches(asked: dict[str, Any]) -> None:
    arrays = numbered(small())
    on_device = batches(small(**asked), range(3), arrays)
    through_tfdata = batches(small(**asked, pipeline="tfdata"), range(3), arrays)
    assert len(on_device) == 3 * small(**asked).steps_per_epoch
    for (mine, my_labels), (theirs, their_labels) in zip(on_device, through_tfdata, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(my_labels, their_labels)


@pytest.mark.parametrize("asked", [{}, {"examples": 1500}, {"augment": "always"}])
def test_files_hold_the_very_examples_of_the_other_pipelines(asked: dict[str, Any]) -> None:
    arrays = numbered(small())

    def examples(pipeline: str) -> list[tuple[int, bytes]]:
        found = batches(small(**asked, pipeline=pipeline, global_batch_size=50), range(1), arrays)
        return sorted(
            (int(y), x.tobytes()) for xs, ys in found for x, y in zip(xs, ys, strict=True)
        )

    assert examples("tfrecord") == examples("device")


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_each_example_comes_once_an_epoch_and_the_rest_is_left_out(pipeline: str) -> None:
    variant = small(pipeline=pipeline)
    assert (variant.examples, variant.global_batch_size) == (700, 32)
    for epoch in range(2):
        taken = np.concatenate([labels for _, labels in batches(variant, range(epoch + 1))[-21:]])
        assert len(taken) == len(set(taken.tolist())) == 21 * 32


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_a_capped_epoch_is_the_beginning_of_a_whole_one(pipeline: str) -> None:
    whole, capped = (batches(small(pipeline=pipeline, max_steps=m), range(2)) for m in (21, 5))
    starts = [*whole[:5], *whole[21:26]]
    for (_, labels), (_, expected) in zip(capped, starts, strict=True):
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("pipeline", ["device", "tfrecord"])
def test_what_is_left_out_differs_from_epoch_to_epoch(pipeline: str) -> None:
    variant = small(pipeline=pipeline)
    labels = np.array([y for _, y in batches(variant, range(4))]).reshape(4, -1)
    left_out = [frozenset(range(700)) - set(epoch.tolist()) for epoch in labels]
    assert {len(left) for left in left_out} == {28}
    assert len(set(left_out)) == 4


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_the_order_does_not_depend_on_a_global_seed(
    pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without, of_two_seeds = batches(small(pipeline=pipeline), range(1)), []
    for seed in (1, 2):
        # There is no public way to be without one again.
        monkeypatch.setattr(context.context(), "_seed", seed)
        of_two_seeds.append(batches(small(pipeline=pipeline), range(1)))
    for with_seed in of_two_seeds:
        for (_, ours), (_, theirs) in zip(with_seed, without, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_images_are_bytes_over_255_and_belong_to_their_labels() -> None:
    variant = small()
    arrays = numbered(variant)
    for images, labels in batches(variant, range(1), arrays):
        assert images.dtype == np.float32
        np.testing.assert_allclose(images, arrays.train_images[labels] / 255.0, rtol=1e-6)


def test_further_examples_are_copies_and_come_as_often_as_originals() -> None:
    variant = small(examples=700, global_batch_size=100, augment="never")
    arrays = _first(numbered(variant), 100)
    taken = Counter(np.concatenate([y for _, y in batches(variant, range(1), arrays)]).tolist())
    assert taken == dict.fromkeys(range(100), 7)


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_auto_augments_copies_alone_and_never_augments_none(pipeline: str) -> None:
    def differing(augment: str, stored: int) -> int:
        variant = small(augment=augment, pipeline=pipeline, examples=640)
        arrays = _first(numbered(variant), stored)
        found = batches(variant, range(1), arrays)
        images, labels = (np.concatenate(part) for part in zip(*found, strict=True))
        same = np.isclose(images, arrays.train_images[labels] / 255.0).all((1, 2, 3))
        return int((~same).sum())

    assert differing("auto", 640) == 0
    assert differing("never", 64) == 0
    assert differing("always", 640) == 0
    # An unflipped, unshifted copy with hardly a change of contrast is rare.
    assert 570 < differing("auto", 64) <= 576
    assert differing("always", 64) == differing("auto", 64)


def test_fewer_examples_than_are_stored_are_the_first_ones() -> None:
    variant = small(examples=64)
    arrays = numbered(small(examples=700))
    taken = np.concatenate([y for _, y in batches(variant, range(1), arrays)])
    assert sorted(taken.tolist()) == list(range(64))


@pytest.mark.parametrize("pipeline", ["device", "tfdata", "tfrecord"])
def test_an_epoch_that_is_asked_for_again_or_out_of_turn_starts_at_its_first_example(
    pipeline: str,
) -> None:
    variant = small(pipeline=pipeline)
    feed = make_feed(variant, numbered(variant), 5, make_replicas(variant))

    def first_labels(epoch: int) -> list[int]:
        _, inputs = next(iter(feed.windows(epoch)))
        _, labels = feed.batch(*feed.fetch(tf.constant(0), *inputs))
        return [int(label) for label in labels]

    in_turn = [labels.tolist() for _, labels in batches(variant, range(3))[::21]]
    assert [first_labels(epoch) for epoch in (2, 0, 0)] == [in_turn[2], in_turn[0], in_turn[0]]


def test_tfdata_prepares_nothing_of_the_next_epoch_while_one_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shuffled, of_epoch = [], Shuffle.epoch_order

    def noted(order: Shuffle, epoch: Any) -> Any:
        note = tf.py_function(lambda e: shuffled.append(int(e)), [epoch], [])
        with tf.control_dependencies([note]):
            return of_epoch(order, tf.identity(epoch))

    monkeypatch.setattr(Shuffle, "epoch_order", noted)
    variant = small(pipeline="tfdata")
    feed = make_feed(variant, numbered(variant), 5, make_replicas(variant))
    taken = 0
    for steps, (iterator,) in feed.windows(0):
        taken += sum(1 for _ in itertools.islice(iterator, steps))
    assert (taken, shuffled) == (21, [0])
    # And it ends there: what is left of it cannot run on.
    assert list(iterator) == []


def test_the_pipeline_is_traced_once_for_all_epochs() -> None:
    traces, of_epoch = [], Shuffle.epoch_order
    variant = small(pipeline="tfdata")

    def noted(order: Shuffle, epoch: Any) -> Any:
        traces.append(epoch)
        return of_epoch(order, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shuffle, "epoch_order", noted)
        feed = make_feed(variant, numbered(variant), 5, make_replicas(variant))
        for epoch in range(3):
            next(iter(feed.windows(epoch)))
    assert len(traces) == 1


def test_labels_are_int64_for_a_gpu_keeps_them_on_the_device() -> None:
    for pipeline in ("device", "tfdata", "tfrecord"):
        assert {y.dtype.name for _, y in batches(small(pipeline=pipeline), range(1))} == {"int64"}


def _first(arrays: Arrays, count: int) -> Arrays:
    """The same, with fewer training examples stored."""
    kept = {
        "train_images": arrays.train_images[:count],
        "train_labels": arrays.train_labels[:count],
    }
    return Arrays(**{**vars(arrays), **kept})
