"""Arrays are sent to other processes without copies."""

import pickle

from bench.datasets.synthetic import make_synthetic


def test_pickling_does_not_copy_the_arrays() -> None:
    arrays = make_synthetic((28, 28, 1), 10, 1_000)
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(arrays, protocol=5, buffer_callback=buffers.append)
    assert len(head) < 4_096
    assert sum(buffer.raw().nbytes for buffer in buffers) == arrays.size_bytes


def test_unpickled_arrays_are_equal() -> None:
    arrays = make_synthetic((4, 5, 3), 7, 20)
    restored = pickle.loads(pickle.dumps(arrays))
    assert restored.shape == (4, 5, 3)
    assert (restored.classes, restored.real) == (7, False)
    assert (restored.train_images == arrays.train_images).all()
    assert (restored.test_labels == arrays.test_labels).all()
