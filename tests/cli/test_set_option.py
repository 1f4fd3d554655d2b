"""``--set KEY=VALUE`` is parsed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.set_option import parse_settings
from bench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("epochs=2", 2),
        ("learning_rate=0.1", 0.1),
        ("learning_rate=1e-3", 1e-3),
        ("deterministic=true", True),
        ("norm=bn_post", "bn_post"),
        ('norm="bn_post"', "bn_post"),
        ("norm=none,bn_post", ["none", "bn_post"]),
        ('norm=["none", "bn_post"]', ["none", "bn_post"]),
        ("global_batch_size=32,512", [32, 512]),
        ("hidden=[300, 100]", [300, 100]),
        ("hidden=[[300, 100], [50]]", [[300, 100], [50]]),
        (" epochs = 2 ", 2),
        ("description=a=b", "a=b"),
        ("description=", ""),
    ],
)
def test_a_value_is_read_as_toml_or_as_plain_text(text: str, value: Any) -> None:
    assert list(parse_settings([text]).values()) == [value]


@pytest.mark.parametrize("text", ["epochs", "=2", "", " = "])
def test_a_text_that_is_not_key_and_value_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="not KEY=VALUE: write, for example, --set epochs=2"):
        parse_settings([text])


def test_the_last_value_of_a_repeated_key_wins() -> None:
    assert parse_settings(["epochs=2", "epochs=3"]) == {"epochs": 3}


_VALUES = st.recursive(
    st.integers(-(2**53), 2**53) | st.booleans() | st.text(st.characters(min_codepoint=32)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(_VALUES)
def test_every_number_text_and_list_can_be_written(value: Any) -> None:
    # JSON's values are TOML's, except that TOML needs DEL escaped.
    text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    assert parse_settings([f"key={text}"]) == {"key": value}


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    assert list(parse_settings([f"key={text}"])) == ["key"]
