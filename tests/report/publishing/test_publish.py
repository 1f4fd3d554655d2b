"""What is published can be read as a run, and is made from its records alone."""

import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

import bench
from bench.errors import ResourceError, RunFolderError
from bench.records.run_folder import RunFolder
from bench.report.publishing.publish import publish
from bench.report.write_report import write_report
from tests.support.paths import ROOT
from tests.support.sample_suites import TINY, suite_of


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "published"


def test_a_published_run_is_read_as_the_run_itself(run: Path, folder: Path) -> None:
    here = ["node", "devices", "error"]  # may hold a host, which is named anew
    for load in (bench.load_trials, bench.load_attempts, bench.load_epochs):
        ours, theirs = load(folder), load(run)
        columns = [column for column in ours.columns if column not in here]
        by = [c for c in ("trial_id", "attempt", "epoch") if c in columns]
        assert_frame_equal(
            ours[columns].sort_values(by, ignore_index=True),
            theirs[columns].sort_values(by, ignore_index=True),
        )
    assert len(bench.load_attempts(folder)) == 6


def test_its_suite_is_the_one_that_was_run(folder: Path) -> None:
    asked = bench.load_suite(folder / "suite.toml")
    assert asked.model_dump() == suite_of(TINY).model_dump()


def test_reporting_it_again_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for path in write_report(folder, tmp_path / "report"):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_others_may_read_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert folder.stat().st_mode == (tmp_path / "new").stat().st_mode


def test_the_readme_s_table_quotes_the_published_one() -> None:
    norms = {"none": "none", "batch norm after": "bn_post", "batch norm before": "bn_pre"}
    published = _rows(ROOT / "results/published/quick/summary.md", "global_batch_size=32")
    quoted = {}
    for start, norm in norms.items():
        ((_, epoch_ms, accuracy, ratio),) = _rows(ROOT / "README.md", start)
        quoted[f"global_batch_size=32, norm={norm}"] = (epoch_ms, accuracy, ratio)
    assert quoted == {row[0]: (row[2], row[5], row[6]) for row in published[:3]}


def _rows(file: Path, start: str) -> list[list[str]]:
    """The cells of each table row of ``file`` whose first cell begins with ``start``."""
    lines = [line.strip("| ") for line in file.read_text().splitlines() if line.startswith("| ")]
    return [line.split(" | ") for line in lines if line.startswith(start)]


@pytest.mark.slow
def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(
    run: Path, place: Path
) -> None:
    (publish(run, "tiny", place) / "old").touch()
    with pytest.raises(ResourceError, match="already there"):
        publish(run, "tiny", place)
    assert not (publish(run, "tiny", place, replace=True) / "old").exists()
    assert not [path for path in place.iterdir() if path.name.startswith(".")]


def test_a_run_that_has_not_ended_is_refused(run: Path, place: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    next(RunFolder(run).trials.glob("b001*.json")).unlink()
    with pytest.raises(RunFolderError, match="1 of 4 trials have not ended: finish the run"):
        publish(run, "tiny", place)
    assert not (place / "tiny").exists()


CLAIM = (ROOT / "docs/generate/claim.md").read_text()
"""What docs/results.md says first: the answer on batch norm and large data."""


def test_every_cell_of_the_claim_is_that_of_its_batch_compilation_and_size() -> None:
    published = ROOT / "results/published/bn-overhead/summary.md"
    ratio_of = {
        cells[1]: re.sub(r"[⁰¹²³⁴-⁹ ]+$", "", cells[7])
        for cells in (re.split(r" ?\| ?", line) for line in published.read_text().splitlines())
        if len(cells) > 8
    }
    header, *rows = [line for line in CLAIM.splitlines() if line.startswith("| ")]
    assert re.findall(r"\d[\d,]*", header) == ["55,000", "550,000", "5,500,000"]
    compiled = {"epochs": "epoch", "not compiled": "none"}
    found = {}
    for row in rows[1:]:
        setting, *cells = row.strip("| ").split(" | ")
        named = re.fullmatch(r"batch (\d+), (?:compiled )?(.+)", setting)
        assert named is not None
        batch, how = named.groups()
        for size, cell in zip((55_000, 550_000, 5_500_000), cells, strict=True):
            label = f"global_batch_size={batch}, jit={compiled[how]}, examples={size}"
            found[f"{label}, norm=bn_post"] = cell
    assert found == {label: ratio_of[label] for label in found}
    assert len(found) == 18


def test_the_other_ratios_that_the_claim_quotes_are_published() -> None:
    text = "\n".join(s for s in CLAIM.splitlines() if not s.startswith("| "))
    quoted = re.findall(r"[\d.]+ \[[\d., ]+\]", text)
    whole, sooner = (
        (ROOT / "results/published" / name).read_text()
        for name in ("bn-overhead-whole/summary.md", "bn-target/index.html")
    )
    assert len(quoted) == 3
    assert quoted[0] in whole
    assert [ratio for ratio in quoted[1:] if ratio not in sooner] == []


@pytest.mark.slow
def test_a_remark_stands_at_the_top_and_stays_when_the_run_is_published_again(
    run: Path, place: Path
) -> None:
    folder = publish(run, "tiny", place, remark="Tests ran beside it.")
    again = publish(folder, "again", place)
    for made in (folder, again):
        assert "- Remark: Tests ran beside it.\n- Run: " in (made / "summary.md").read_text()
        assert "Tests ran beside it." in (made / "index.html").read_text()
    assert "Remark" not in (publish(run, "bare", place) / "summary.md").read_text()


def test_charts_and_page_are_published_too(folder: Path) -> None:
    assert "<title>tiny" in (folder / "index.html").read_text()
    assert {path.suffix for path in (folder / "charts").iterdir()} == {".svg", ".png"}


SECRETS = (
    "annabel@gpu-box-7.corp.example",
    "fe80::1ff:fe23:4567:890a",
    "d8bc3e8b-f92e-4c29-b7be-1e42ab27044b",
)


def told_by(secret: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What run.json and a record hold where each field of a machine's says ``secret``."""
    machine = {
        "os": {"name": secret, "kernel": secret, "architecture": secret, "boot": secret},
        "python": {"version": secret},
        "cpu": {"model": secret, "governor": secret},
        "container": secret,
        "gpus": [{"name": secret, "uuid": secret, "pci_bus_id": secret}],
        "driver": {"version": secret},
        "gpu_error": f"no device at {secret}",
        "packages": {"tensorflow": secret, secret: "1.0"},
        "source": {"commit": secret, "dirty": True},
        "variables": {"LD_PRELOAD": secret, "XLA_FLAGS": f"--xla_dump_to={secret}", secret: "1"},
        "library_path": [secret],
        secret: secret,
    }
    call = {
        "command": ["bench", "run", secret, f"--out={secret}", "--address", secret],
        "environment": {"driver": machine, secret: machine},
        "warnings": [secret],
        "left_out": [{"node": secret, "devices": [secret], "reason": f"{secret} is busy"}],
    }
    record = {
        "error": f"NotFoundError: {secret}: no such file",
        "log_tail": f"Traceback: {secret}",
        "node": secret,
        "devices": [f"{secret}/worker:0/CPU:0", f"GPU-{secret}"],
        "warnings": [f"the cache {secret} is not kept"],
        "left_out": call["left_out"],
        "resolved": {"policy": "float32", "variables": {"LD_PRELOAD": secret}, "order": secret},
        "status": "failed",
    }
    return call, record


@pytest.mark.parametrize("secret", SECRETS)
def test_no_byte_of_what_is_published_holds_what_is_private(
    run: Path, tmp_path: Path, secret: str
) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    call, record = told_by(secret)
    info = json.loads((run / "run.json").read_text())
    info["invocations"] = [one | call for one in info["invocations"]]
    (run / "run.json").write_text(json.dumps(info))
    for path in sorted((run / "trials").iterdir())[:2]:
        path.write_text(json.dumps(json.loads(path.read_text()) | record))
    folder = publish(run, "tiny", tmp_path / "published")
    for path in folder.parent.rglob("*"):
        assert secret not in path.name
        if path.is_file():
            content = path.read_bytes()
            assert secret.encode() not in content, path
            assert secret.encode() not in texts_of_png(content), path


def texts_of_png(content: bytes) -> bytes:
    """What chunks of texts hold, uncompressed; nothing of what is no PNG."""
    if not content.startswith(b"\x89PNG"):
        return b""
    texts, at = b"", 8
    while at < len(content):
        size, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        data = content[at + 8 : at + 8 + size]
        if kind == b"zTXt":
            texts += zlib.decompress(data.partition(b"\0")[2][1:])
        texts += data if kind in (b"tEXt", b"iTXt", b"eXIf") else b""
        at += size + 12
    return texts
