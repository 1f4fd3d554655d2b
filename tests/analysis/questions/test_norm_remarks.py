"""Norms that put out a constant, or meant something else when they were recorded, are told."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.questions.norm_remarks import NormRemark
from bench.analysis.summary import summarize
from bench.report.text.table_formats import csv
from tests.support.sample_records import NORMS, made_run


def remark(path: Path, resolved: Mapping[str, Any], **variant: Any) -> NormRemark | None:
    """What is said of a run of one variant."""
    suite = {**NORMS, "matrix": {}, "compare": [], "variant": {**NORMS["variant"], **variant}}
    folder = made_run(path, suite, change=lambda r: r.model_copy(update={"resolved": resolved}))
    summary = summarize(folder.path)
    [only] = summary.variants
    [_, row] = csv(summary).splitlines()
    told = any(words in row for words in ("constant", "nothing to learn from"))
    assert told == (only.norms is not None)
    return only.norms


@pytest.mark.parametrize("batch", [1, 2])
def test_norms_of_too_few_values_are_counted(tmp_path: Path, batch: int) -> None:
    resolved = {"norm_layers": 3, "norm_values": [784, batch, batch]}
    found = remark(tmp_path / "run", resolved, norm="bn_post", global_batch_size=batch)
    assert found == NormRemark(norms=3, constant=2, older=None)


@pytest.mark.parametrize(
    ("asked", "older"),
    [
        ({"norm": "layer", "workload": "convnet"}, "layer"),
        ({"norm": "group"}, "group"),
        ({"norm": "layer"}, None),
        ({"norm": "bn_pre"}, None),
    ],
)
def test_older_norms_are_told_by_what_their_records_lack(
    tmp_path: Path, asked: dict[str, Any], older: str | None
) -> None:
    found = remark(tmp_path / "older", {"norm_layers": 3}, **asked)
    assert (found and found.older) == older
    today = {"norm_layers": 3, "norm_values": [784, 300, 100]}
    assert remark(tmp_path / "today", today, **asked) is None
