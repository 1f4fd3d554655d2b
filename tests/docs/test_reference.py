"""docs/reference.md is up to date, and complete."""

from bench.analysis.loading.frame_columns import trial_columns
from bench.records.metric import METRICS
from bench.spec.axes import AXES
from bench.spec.variant import Variant
from docs.generate.reference import meanings, reference
from tests.support.paths import ROOT


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs/reference.md").read_text() == reference(), "make reference"


def test_every_axis_has_a_meaning() -> None:
    assert set(meanings(Variant)) == set(AXES) - {"per_replica_batch_size"}


def test_a_meaning_is_the_docstring_below_the_field() -> None:
    assert meanings(Variant)["replicas"] == "Devices per worker."


def test_every_metric_column_has_the_unit_of_its_metric() -> None:
    page = reference().split("## Columns of trials")[1]
    units = {row[1].strip(" `"): row[3].strip() for row in map(cells, page.splitlines()) if row}
    columns = [name for name in METRICS if name in trial_columns()]
    assert columns
    for name in columns:
        assert METRICS[name].unit in ("", units[name]), name
    assert units["wall_s"] == "s"
    assert units["steps"] == ""


def cells(line: str) -> list[str]:
    return line.split("|") if line.startswith("| `") else []
