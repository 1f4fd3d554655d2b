"""Shards are complete or rewritten, hold each example once, and detect damage."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from bench.datasets.arrays import Arrays
from bench.datasets.synthetic import make_synthetic
from bench.training.data import tfrecord_shards
from bench.training.data.tfrecord_shards import MIN_SHARDS, decode_records, shard_files
from bench.training.failures import classify_exception
from tests.support.training_setup import FEW

SHAPE = (4, 5, 1)


def sample_arrays(examples: int = 100) -> Arrays:
    return make_synthetic(SHAPE, 7, examples)


def read(files: list[str]) -> dict[int, tuple[bytes, int]]:
    """Read images and labels by index."""
    strings = tf.constant([record.numpy() for record in tf.data.TFRecordDataset(files)])
    indices, images, labels = decode_records(strings, SHAPE)
    assert len(set(indices.numpy().tolist())) == len(strings)
    rows = zip(indices.numpy(), images.numpy(), labels.numpy(), strict=True)
    return {int(i): (image.tobytes(), int(label)) for i, image, label in rows}


@FEW
@given(examples=st.integers(1, 300), stored=st.integers(1, 100))
def test_every_example_is_there_once_with_its_image_and_label(
    tmp_path_factory: pytest.TempPathFactory, examples: int, stored: int
) -> None:
    arrays = sample_arrays(stored)
    files = shard_files(arrays, examples, tmp_path_factory.mktemp("shards"))
    assert len(files) == min(examples, MIN_SHARDS)
    assert read(files) == {
        i: (arrays.train_images[i % stored].tobytes(), int(arrays.train_labels[i % stored]))
        for i in range(examples)
    }


def test_they_are_written_once(tmp_path: Path) -> None:
    files = shard_files(sample_arrays(), 200, tmp_path)
    before = [Path(file).stat().st_mtime_ns for file in files]
    assert shard_files(sample_arrays(), 200, tmp_path) == files
    assert [Path(file).stat().st_mtime_ns for file in files] == before


def test_other_examples_have_other_files(tmp_path: Path) -> None:
    other = Arrays(
        **{**vars(sample_arrays()), "train_labels": sample_arrays().train_labels[::-1].copy()}
    )
    folders = {
        Path(shard_files(arrays, examples, tmp_path)[0]).parent
        for arrays, examples in ((sample_arrays(), 100), (sample_arrays(), 200), (other, 100))
    }
    assert len(folders) == 3


@pytest.mark.parametrize(
    "damage", ["cut short", "missing", "no manifest", "half a manifest", "deep"]
)
def test_an_incomplete_set_is_rewritten(tmp_path: Path, damage: str) -> None:
    files = shard_files(sample_arrays(), 100, tmp_path)
    manifest = Path(files[0]).with_name("manifest.json")
    match damage:
        case "cut short":
            os.truncate(files[3], 10)
        case "missing":
            Path(files[3]).unlink()
        case "no manifest":
            manifest.unlink()
        case "half a manifest":
            manifest.write_text(manifest.read_text()[:40])
        case "deep":
            manifest.write_text("[" * 100_000)
    assert len(read(shard_files(sample_arrays(), 100, tmp_path))) == 100


def test_a_changed_byte_is_an_error(tmp_path: Path) -> None:
    files = shard_files(sample_arrays(), 100, tmp_path)
    content = bytearray(Path(files[0]).read_bytes())
    content[30] ^= 1
    Path(files[0]).write_bytes(content)
    with pytest.raises(tf.errors.DataLossError) as caught:
        read(files)
    status, reason = classify_exception(caught.value)
    assert status == "failed"
    assert reason.endswith(f"/tfrecord-{os.getuid()} is damaged: delete that folder")


def test_concurrent_writers_leave_one_complete_set(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: shard_files(sample_arrays(), 500, tmp_path), range(4)))
    assert len({tuple(files) for files in results}) == 1
    assert len(read(results[0])) == 500


WRITE = """
import sys
from pathlib import Path
from bench.datasets.synthetic import make_synthetic
from bench.training.failures import classify_exception
from bench.training.data.tfrecord_shards import shard_files
print("ready", flush=True)
shard_files(make_synthetic((4, 5, 1), 7, 100), 3_000_000, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_no_set_that_looks_complete(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITE, tmp_path], stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*/*/*.tfrecord")):
        assert writer.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    # Its files do not stop another writer.
    assert len(read(shard_files(sample_arrays(), 100, tmp_path))) == 100


def test_the_remains_of_a_killed_writer_are_removed_before_the_next_write(tmp_path: Path) -> None:
    key = tfrecord_shards._key(sample_arrays(), 100)
    stale, other = tmp_path / f".{key}-abcd", tmp_path / ".0123456789abcdef-abcd"
    for folder in (stale, other):
        (folder / key).mkdir(parents=True)
        (folder / key / "00000-of-00016.tfrecord").write_bytes(bytes(100))
    assert len(read(shard_files(sample_arrays(), 100, tmp_path))) == 100
    assert not stale.exists()
    assert other.exists()  # its writer may still be running


def test_a_full_disk_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = os.statvfs(tmp_path)
    monkeypatch.setattr(tfrecord_shards, "SHARD_BYTES", 2**60)
    too_many = 10 * usage.f_blocks * usage.f_frsize // 48
    with pytest.raises(OSError, match="lower examples, or set BENCH_CACHE_DIR"):
        shard_files(sample_arrays(), too_many, tmp_path)
    assert not list(tmp_path.rglob("*.tfrecord"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_files_of_another_user_are_not_read(cache: Path) -> None:
    key = tfrecord_shards._key(sample_arrays(), 100)
    other = Arrays(
        **{**vars(sample_arrays()), "train_labels": sample_arrays().train_labels[::-1].copy()}
    )
    theirs = Path(shard_files(other, 100, cache / "theirs")[0]).parent
    for place in ("tfrecord", f"tfrecord-{os.getuid() + 1}"):
        (cache / place).mkdir()
        (cache / place / key).symlink_to(theirs)
    files = shard_files(sample_arrays(), 100)
    assert {Path(file).parents[1] for file in files} == {cache / f"tfrecord-{os.getuid()}"}
    assert read(files) == read(shard_files(sample_arrays(), 100, cache / "ours"))


@pytest.mark.parametrize("how", ["written to by others", "a link"])
def test_a_folder_that_others_can_write_to_is_rejected(cache: Path, how: str) -> None:
    place = Path(shard_files(sample_arrays(), 100)[0]).parents[1]
    if how == "a link":
        place.rename(cache / "elsewhere")
        place.symlink_to(cache / "elsewhere")
    else:
        place.chmod(0o770)
    with pytest.raises(OSError, match=place.name):
        shard_files(sample_arrays(), 100)


def test_shards_are_like_each_other(tmp_path: Path) -> None:
    arrays = sample_arrays(64)
    for file in shard_files(arrays, 64 * 16, tmp_path):
        indices = np.array(list(read([file])))
        assert set(np.diff(np.sort(indices))) == {MIN_SHARDS}
