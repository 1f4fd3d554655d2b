"""Tests of the remarks on norms with constant output, and on norms of older records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.analysis.questions.norm_remarks import NormRemark
from bench.analysis.summary import summarize
from bench.report.text.table_formats import csv
from tests.support.sample_records import NORMS, make_run


def remark(path: Path, resolved: Mapping[str, Any], **variant: Any) -> NormRemark | None:
    """Return the remark on a run of one variant."""
    suite = {**NORMS, "matrix": {}, "compare": [], "variant": {**NORMS["variant"], **variant}}
    folder = make_run(path, suite, change=lambda r: r.model_copy(update={"resolved": resolved}))
    summary = summarize(folder.path)
    [variant_summary] = summary.variants
    [_, row] = csv(summary).splitlines()
    is_reported = any(words in row for words in ("constant", "nothing to learn from"))
    assert is_reported == (variant_summary.norms is not None)
    return variant_summary.norms


@pytest.mark.parametrize("batch", [1, 2])
def test_norms_over_too_few_values_are_counted(tmp_path: Path, batch: int) -> None:
    resolved = {"norm_layers": 3, "norm_values": [784, batch, batch]}
    result = remark(tmp_path / "run", resolved, norm="bn_post", global_batch_size=batch)
    assert result == NormRemark(norms=3, constant=2, older=None)


@pytest.mark.parametrize(
    ("variant", "older"),
    [
        ({"norm": "layer", "workload": "convnet"}, "layer"),
        ({"norm": "group"}, "group"),
        ({"norm": "layer"}, None),
        ({"norm": "bn_pre"}, None),
    ],
)
def test_older_norms_are_recognised_by_missing_settings(
    tmp_path: Path, variant: dict[str, Any], older: str | None
) -> None:
    result = remark(tmp_path / "older", {"norm_layers": 3}, **variant)
    assert (result and result.older) == older
    current = {"norm_layers": 3, "norm_values": [784, 300, 100]}
    assert remark(tmp_path / "today", current, **variant) is None
