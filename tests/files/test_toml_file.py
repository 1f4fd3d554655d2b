"""TOML of any origin gives plain data or ValueError, in a time proportional to its size."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.files.toml_file import parse_toml

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    "text",
    [
        'description = """e.g. a.b.c, 1.2.3 ... and so on; v1.0.0-rc.1"""',
        "rates = [0.1, 0.22, 1.5e-3, 3.0]",
        "a.\"b.c\".'d e' . f = 0x1f",
        "# ................................................................................",
        "x = '" + "0123456789abcdef" * 4 + "'",
    ],
)
def test_ordinary_documents_are_read_unchanged(text: str) -> None:
    assert parse_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize("part", ["a", "a ", '"\\""', "' '", '"a.b"', "a\t", "-"])
@pytest.mark.parametrize("form", ["{}.a = 1", "[{}.a]", "[[{}.a]]", "x = {{ {}.a = 1 }}"])
def test_a_key_with_very_many_parts_is_refused(part: str, form: str) -> None:
    """tomllib takes minutes for a key with 50,000 parts."""
    with pytest.raises(ValueError, match="parts"):
        parse_toml(form.format(".".join([part] * 50_000)))


@given(st.integers(1, 32))
def test_a_key_with_few_parts_is_read(parts: int) -> None:
    text = ".".join(["a"] * parts) + " = 1"
    assert parse_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    "value", ["[" * 100_000, "{a=" * 100_000, "9" * 5_000, "1_" * 5_000 + "1", "0x" + "f" * 5_000]
)
def test_deep_nesting_and_long_numbers_are_refused(value: str) -> None:
    with pytest.raises(ValueError):
        parse_toml(f"x = {value}")


@pytest.mark.parametrize("text", ['"\\', '"', "'", "'\"", "a", ". ", "a b ", "\t", '""', "[[a]]\n"])
def test_the_search_for_long_keys_takes_linear_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_toml(text * (2**20 // len(text)) + "=")
