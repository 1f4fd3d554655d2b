"""Train on a real card: check where data are, what an epoch copies and what it computes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.measure.gpu import Gpu
from bench.records.run_folder import RunFolder
from tests.support.processes import bench
from tests.support.training_setup import variant_of

pytestmark = pytest.mark.gpu

SMALL: dict[str, Any] = {
    "dataset": "synthetic",
    "examples": 5120,
    "hidden": (64, 32),
    "global_batch_size": 128,
    "epochs": 2,
    "precision": "float32_strict",
}
COPIES_AN_EPOCH = 4
"""The maximum in each direction and on each card: indices go up and sums come down."""
PATIENCE_S = 500.0


def profiled(folder: Path, visible: str, **settings: Any) -> dict[str, Any]:
    """Profile an epoch of a variant on the GPUs that ``visible`` names; "-1" is the CPU."""
    variant = variant_of(**{**SMALL, **settings})
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.profiled_epoch", str(folder), variant.model_dump_json()],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": visible},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    profile: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return profile


@pytest.mark.parametrize("jit", ["none", "step", "epoch"])
def test_an_epoch_copies_only_indices_to_the_device_and_sums_back(
    cards: tuple[Gpu, ...], tmp_path: Path, jit: str
) -> None:
    profile = profiled(tmp_path, cards[0].uuid, jit=jit)
    assert profile["devices"][0].endswith("GPU:0")
    for way, count in profile["copies"].items():
        assert 1 <= count <= COPIES_AN_EPOCH, way
        assert profile["largest_bytes"][way] < profile["data_bytes"] / 10
    assert profile["peak_bytes"] > profile["data_bytes"]


@pytest.mark.parametrize("jit", ["none", "step"])
def test_each_replica_has_its_data_on_its_own_card(
    cards: tuple[Gpu, ...], tmp_path: Path, jit: str
) -> None:
    if len(cards) < 2:
        pytest.skip("one GPU here")
    both = ",".join(card.uuid for card in cards[:2])
    profile = profiled(tmp_path, both, jit=jit, strategy="mirrored", replicas=2)
    assert [device[-5:] for device in profile["devices"]] == ["GPU:0", "GPU:1"]
    for way, count in profile["copies"].items():
        assert 1 <= count <= 2 * COPIES_AN_EPOCH, way
        assert profile["largest_bytes"][way] < profile["data_bytes"] / 10


@pytest.mark.parametrize("jit", ["none", "epoch"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "bn_post"}, {"norm": "bn_post", "batch_norm": "fused"}],
    ids=["plain", "keras", "fused"],
)
def test_a_card_computes_the_same_as_the_cpu(
    cards: tuple[Gpu, ...], tmp_path: Path, settings: dict[str, Any], jit: str
) -> None:
    settings = {"jit": jit, **settings}
    on_gpu, on_cpu = (
        profiled(tmp_path / visible, visible, **settings)["loss"]
        for visible in (cards[0].uuid, "-1")
    )
    assert on_gpu == pytest.approx(on_cpu, rel=1e-4)


def test_a_run_uses_every_card_and_names_it(cards: tuple[Gpu, ...], tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    blocks = 2 * len(cards)
    suite.write_text(
        f"name = 'cards'\nblocks = {blocks}\n[variant]\ndataset = 'synthetic'\nepochs = 2\n"
    )
    done = bench("run", suite, "--out", tmp_path / "run", patience_s=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    records = list(RunFolder.open(tmp_path / "run").records(all_attempts=True))
    assert {record.status for record in records} == {"completed"}
    assert {device for r in records for device in r.devices} == {card.uuid for card in cards}
    for record in records:
        assert (record.measures.warmup_s or 0) >= 2.0
        assert record.measures.peak_device_memory_bytes
        assert record.resolved["cuda_libraries"]["cudart"]
