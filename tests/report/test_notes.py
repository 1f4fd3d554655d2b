"""What stands beside a table for the devices that its trials ran on."""

import dataclasses
from pathlib import Path

import pytest

from bench.analysis.devices import SlowJit, SlowPrecision
from bench.analysis.summary import Summary, summarize
from bench.report.latex import latex
from bench.report.notes import UNFUSED, of_summary
from bench.report.tables import csv, markdown
from tests.records_made import made_run


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    return summarize(made_run(tmp_path / "run").path)


def test_batch_norm_without_a_fused_kernel_is_said_of_gpus_and_not_of_cpus(
    summary: Summary,
) -> None:
    assert UNFUSED not in of_summary(summary)
    on_gpus = dataclasses.replace(summary, unfused_batch_norm=True)
    assert list(of_summary(on_gpus)).count(UNFUSED) == 1
    for text in (markdown(on_gpus), latex(on_gpus)):
        assert "Keras 3" in text


@pytest.mark.parametrize(
    ("slow", "named"),
    [
        (SlowPrecision("mixed_float16", None), ["mixed_float16"]),
        (SlowPrecision("mixed_bfloat16", (7, 5)), ["7.5", "mixed_bfloat16", "8.0"]),
    ],
)
def test_a_precision_that_is_slow_on_its_device_is_a_footnote_of_its_times(
    summary: Summary, slow: SlowPrecision, named: list[str]
) -> None:
    first, *others = summary.variants
    noted = dataclasses.replace(first, slow_precision=slow)
    text = csv(dataclasses.replace(summary, variants=(noted, *others)))
    rows = text.splitlines()[1:]
    assert [all(name in row for name in named) for row in rows] == [True, False, False]


def test_what_xla_slowed_is_a_footnote_of_its_times(summary: Summary) -> None:
    first, *others = summary.variants
    noted = dataclasses.replace(first, slow_jit=SlowJit("convnet", "epoch", 29.7))
    text = csv(dataclasses.replace(summary, variants=(noted, *others)))
    rows = text.splitlines()[1:]
    named = ("convnet", "epoch", "30 times")
    assert [all(name in row for name in named) for row in rows] == [True, False, False]
