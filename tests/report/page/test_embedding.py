"""Data and scripts are embedded safely."""

import base64
import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from bench.report.page import embedding

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_unchanged_and_cannot_end_an_element(value: object) -> None:
    text = embedding.json_text(value)
    assert json.loads(text) == value
    assert not set(text) & {"<", ">", "&", "\u2028", "\u2029"}


def test_numbers_that_are_not_finite_become_null_or_text() -> None:
    text = embedding.json_text([float("nan"), float("inf"), {"x": (-float("inf"),)}])
    assert json.loads(text) == [None, "∞", {"x": ["−∞"]}]


def test_the_policy_allows_these_scripts_and_no_requests() -> None:
    digest = base64.b64encode(hashlib.sha256(b"let x;").digest()).decode()
    policy = dict(
        part.strip().split(" ", 1)
        for part in embedding.content_security_policy(["let x;"]).split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'sha256-{digest}'"
    assert "connect-src" not in policy
