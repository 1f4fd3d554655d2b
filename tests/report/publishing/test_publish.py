"""A published folder reads as a run, and has no private data."""

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

import bench
from bench.analysis.summary import summarize
from bench.errors import ResourceError, RunFolderError
from bench.files.folder import Folder
from bench.records.run_folder import RunFolder
from bench.report.publishing.publish import publish
from bench.report.summary_files import write_summary
from tests.support.sample_suites import TINY, suite_of


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "published"


def test_a_published_run_reads_as_the_run_itself(run: Path, folder: Path) -> None:
    private = ["node", "devices", "error"]  # a host in them gets a pseudonym
    for load in (bench.load_trials, bench.load_attempts, bench.load_epochs):
        published, original = load(folder), load(run)
        columns = [column for column in published.columns if column not in private]
        keys = [c for c in ("trial_id", "attempt", "epoch") if c in columns]
        assert_frame_equal(
            published[columns].sort_values(keys, ignore_index=True),
            original[columns].sort_values(keys, ignore_index=True),
        )
    assert len(bench.load_attempts(folder)) == 6


def test_the_published_suite_is_the_suite_of_the_run(folder: Path) -> None:
    suite = bench.load_suite(folder / "suite.toml")
    assert suite.model_dump() == suite_of(TINY).model_dump()


def test_a_new_report_of_a_published_run_has_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for path in write_summary(summarize(folder), Folder(tmp_path / "report")):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_the_folder_has_the_default_permissions(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert folder.stat().st_mode == (tmp_path / "new").stat().st_mode


@pytest.mark.slow
def test_an_existing_folder_is_only_replaced_on_request(run: Path, destination: Path) -> None:
    (publish(run, "tiny", destination) / "old").touch()
    with pytest.raises(ResourceError, match="already exists"):
        publish(run, "tiny", destination)
    assert not (publish(run, "tiny", destination, replace=True) / "old").exists()
    assert not [path for path in destination.iterdir() if path.name.startswith(".")]


def test_an_unfinished_run_is_refused(run: Path, destination: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    next(RunFolder(run).trials.glob("b001*.json")).unlink()
    with pytest.raises(RunFolderError, match="1 of 4 trials have not finished: finish the run"):
        publish(run, "tiny", destination)
    assert not (destination / "tiny").exists()


@pytest.mark.slow
def test_a_remark_is_shown_and_kept_when_the_run_is_published_again(
    run: Path, destination: Path
) -> None:
    folder = publish(run, "tiny", destination, remark="Tests ran beside it.")
    again = publish(folder, "again", destination)
    for published in (folder, again):
        assert "- Remark: Tests ran beside it.\n- Run: " in (published / "summary.md").read_text()
        assert "Tests ran beside it." in (published / "index.html").read_text()
    assert "Remark" not in (publish(run, "bare", destination) / "summary.md").read_text()


def test_charts_and_the_page_are_published(folder: Path) -> None:
    assert "<title>tiny" in (folder / "index.html").read_text()
    assert {path.suffix for path in (folder / "charts").iterdir()} == {".svg", ".png"}


SECRETS = (
    "annabel@gpu-box-7.corp.example",
    "fe80::1ff:fe23:4567:890a",
    "d8bc3e8b-f92e-4c29-b7be-1e42ab27044b",
)


def updates_with(secret: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return updates of an invocation and of a record with ``secret`` in every machine's field."""
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
def test_no_published_byte_has_private_data(run: Path, tmp_path: Path, secret: str) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    call, record = updates_with(secret)
    info = json.loads((run / "run.json").read_text())
    info["invocations"] = [invocation | call for invocation in info["invocations"]]
    (run / "run.json").write_text(json.dumps(info))
    for path in sorted((run / "trials").iterdir())[:2]:
        path.write_text(json.dumps(json.loads(path.read_text()) | record))
    folder = publish(run, "tiny", tmp_path / "published")
    for path in folder.parent.rglob("*"):
        assert secret not in path.name
        if path.is_file():
            content = path.read_bytes()
            assert secret.encode() not in content, path
            assert secret.encode() not in png_texts(content), path


def png_texts(content: bytes) -> bytes:
    """Return the text chunks of a PNG, uncompressed; b"" for any other file."""
    if not content.startswith(b"\x89PNG"):
        return b""
    texts, offset = b"", 8
    while offset < len(content):
        size = int.from_bytes(content[offset : offset + 4], "big")
        kind = content[offset + 4 : offset + 8]
        data = content[offset + 8 : offset + 8 + size]
        if kind == b"zTXt":
            texts += zlib.decompress(data.partition(b"\0")[2][1:])
        texts += data if kind in (b"tEXt", b"iTXt", b"eXIf") else b""
        offset += size + 12
    return texts
