"""A real limit on memory, by a control group: what does not fit is out of memory, not lost.

Needs root and a control group of its own, version 1 or 2.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.records.run_folder import RunFolder
from tests.support.control_group import control_group
from tests.support.gangs import GANG
from tests.support.processes import COMMAND
from tests.support.sample_suites import SINGLE, write_suite

pytestmark = pytest.mark.slow

LIMIT_BYTES = 3 * 2**30
"""Enough for Ray and two workers that hold nothing."""


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A control group that may hold so much; deleted in the end, with all that runs in it."""
    files = ("memory.max", "memory.limit_in_bytes")
    with control_group("memory", dict.fromkeys(files, str(LIMIT_BYTES))) as group:
        yield group


def test_workers_killed_at_a_memory_limit_are_out_of_memory_and_skip_larger_batches(
    limited_group: Path, tmp_path: Path
) -> None:
    large = {"hidden": [20_000, 20_000]}
    variants = [
        {"label": "fits"},
        {"label": "does not", **large},
        {"label": "larger still", **large, "global_batch_size": 128},
    ]
    variant = {**SINGLE["variant"], **GANG}
    suite = write_suite(tmp_path / "s.toml", {**SINGLE, "variant": variant, "variants": variants})
    out = tmp_path / "run"
    inside = f'echo $$ > {limited_group}/cgroup.procs && exec "$0" "$@"'
    done = subprocess.run(
        ["sh", "-c", inside, COMMAND, "run", str(suite), "--out", str(out), "--prune-oom"],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    records = {record.trial.label: record for record in RunFolder.open(out).records()}
    assert done.returncode == 5, done.stderr
    assert records["fits"].status == "completed", records["fits"].log_tail
    assert records["does not"].status == "out_of_memory", records["does not"].error
    assert records["does not"].attempt == 1
    assert (records["does not"].error or "").startswith("worker ")
    assert records["larger still"].status == "out_of_memory"
    assert records["larger still"].error == (
        "not run: the same variant ran out of memory with global_batch_size 64"
    )
