import pickle

from bench.datasets.synthetic import make_synthetic


def test_pickling_hands_the_arrays_over_without_copying_them() -> None:
    arrays = make_synthetic((28, 28, 1), 10, 1_000)
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(arrays, protocol=5, buffer_callback=buffers.append)
    assert len(head) < 4_096
    assert sum(buffer.raw().nbytes for buffer in buffers) == arrays.size_bytes


def test_what_was_pickled_comes_back_equal() -> None:
    arrays = make_synthetic((4, 5, 3), 7, 20)
    back = pickle.loads(pickle.dumps(arrays))
    assert back.shape == (4, 5, 3)
    assert (back.classes, back.real) == (7, False)
    assert (back.train_images == arrays.train_images).all()
    assert (back.test_labels == arrays.test_labels).all()
