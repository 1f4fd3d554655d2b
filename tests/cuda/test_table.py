"""The table in docs/gpu.md matches what the stack counts now, for some rows."""

from pathlib import Path

import pytest

from tests.cuda.stack import Stack
from tests.cuda.table import WORK, work
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs/gpu.md"


def test_rows_without_xla_are_those_of_the_docs(cuda_stack: Stack, tmp_path: Path) -> None:
    cases = [(n, norm, jit) for n, norm, jit in WORK if (n, jit) == ("mlp", "none")]
    assert len(cases) == 7
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    for row in work(cuda_stack, tmp_path, cases):
        assert f"| {' | '.join(row)} |" in lines
