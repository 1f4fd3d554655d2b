"""YAML of any origin gives plain data or ValueError, in a time proportional to its size."""

import pytest

from bench.files.yaml_file import parse_yaml

pytestmark = pytest.mark.timeout(60)


def test_plain_data_with_a_few_aliases_is_read() -> None:
    text = "a: &common {k: 1}\nb: *common\nc:\n  <<: *common\n  l: [x, '2']\n"
    assert parse_yaml(text) == {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 1, "l": ["x", "2"]}}
    assert parse_yaml("") is None


def nested(form: str) -> str:
    """Ten lines, each with nine references to the previous one."""
    lines = ["x0: &x0 {k: v}"]
    lines += [f"x{i + 1}: &x{i + 1} " + form % ", ".join([f"*x{i}"] * 9) for i in range(9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        nested("[%s]"),
        nested("{<<: [%s]}"),
        "a: &a [*a]",
        "[" * 60_000,
        "9" * 5_000,
        "a: b: c",
        "!!python/object/apply:os.getcwd []",
    ],
    ids=["aliases", "merged", "itself", "deep", "long number", "no YAML", "no plain data"],
)
def test_expanding_aliases_and_other_than_plain_data_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_yaml(text)
