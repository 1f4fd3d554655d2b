"""docs/execution.md has the fault table, and every test that the table names exists."""

import re

import pytest

from tests.support.fault_table import FAULTS, Fault, table
from tests.support.paths import ROOT


def test_docs_have_the_current_table() -> None:
    text = (ROOT / "docs" / "execution.md").read_text()
    assert table() in text, "python -m tests.support.fault_table prints it"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_each_row_names_an_existing_test(fault: Fault) -> None:
    file, _, name = fault.test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
