"""What is left out is said once, with where to find it."""

import pytest

from bench.report.text.omission_text import omission_note, omitted


def test_a_note_names_each_omission_and_where_all_is() -> None:
    parts = omitted(300, 4210, "trials are shown"), omitted(2, 2, "logs are shown"), "2 ended early"
    assert omission_note(*parts, elsewhere="trials.csv has all") == (
        "300 of 4,210 trials are shown; 2 ended early: trials.csv has all."
    )


@pytest.mark.parametrize("omissions", [(), ("",), (omitted(3, 3, "trials are shown"), "")])
def test_without_an_omission_there_is_no_note(omissions: tuple[str, ...]) -> None:
    assert omission_note(*omissions, elsewhere="trials.csv has all") == ""
