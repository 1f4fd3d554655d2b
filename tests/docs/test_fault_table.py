"""The table of faults in docs/architecture.md is that of the tests, and each test is there."""

import re

import pytest

from tests.support.fault_table import FAULTS, Fault, table
from tests.support.paths import ROOT


def test_the_docs_have_the_table_as_it_is() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert table() in text, "python -m tests.support.fault_table prints it"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))
def test_the_test_that_a_row_names_is_there(fault: Fault) -> None:
    file, _, name = fault.test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
