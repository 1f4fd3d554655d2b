"""The fault table in docs/architecture.md is up to date, and names tests that exist."""

import re

import pytest

from tests.support.fault_table import FAULTS, Fault, table
from tests.support.paths import ROOT


def test_the_docs_have_the_current_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert table() in text, "python -m tests.support.fault_table prints it"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_the_test_of_each_row_exists(fault: Fault) -> None:
    file, _, name = fault.test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
