"""Read a value from a command line.

Usage:
    read_value("2"), read_value("none"), read_value("none,bn_post")
"""

from typing import Any

from bench.files.toml_file import parse_toml


def read_value(text: str) -> Any:
    """Return ``text`` read as TOML, or as plain text if it is not TOML.

    A list may omit its brackets and quotes: ``none,bn_post`` is a list of two.
    """
    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        words = [word.strip() for word in text.split(",")]
        return [read_value(word) for word in words] if len(words) > 1 else text
