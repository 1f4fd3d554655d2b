"""docs/reference.md says what the code does."""

from pathlib import Path

from bench.report.reference import meanings, reference
from bench.spec.variant import AXES, Variant

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_code_gives() -> None:
    assert (ROOT / "docs/reference.md").read_text() == reference(), "make reference"


def test_every_axis_has_a_meaning() -> None:
    assert set(meanings(Variant)) == set(AXES) - {"per_replica_batch_size"}


def test_a_meaning_is_the_docstring_below_the_field() -> None:
    assert meanings(Variant)["replicas"] == "Devices per worker."
