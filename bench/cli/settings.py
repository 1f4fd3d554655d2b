"""``--set KEY=VALUE`` as data.

Usage:
    parse_settings(["epochs=2", 'norm=["none", "bn_post"]', "clip=norm"])
"""

import tomllib
from collections.abc import Iterable
from typing import Any

from bench.errors import UsageError


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Keys and values, each value read as TOML, or as plain text where it is no TOML.

    A list may leave out the quotes: ``norm=none,bn_post`` is a list of two.
    """
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"--set {setting}: not KEY=VALUE: write, say, --set epochs=2")
        parsed[key] = _value(value.strip())
    return parsed


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        words = [word.strip() for word in text.split(",")]
        return [_value(word) for word in words] if len(words) > 1 else text
