"""Parse ``--set KEY=VALUE``.

Usage:
    parse_settings(["epochs=2", 'norm=["none", "bn_post"]', "clip=norm"])
"""

from collections.abc import Iterable
from typing import Any

from bench.errors import UsageError
from bench.spec.text_values import read_value


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Return the settings by key; ``read_value`` reads each value. Raises UsageError."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"--set {setting}: not KEY=VALUE: write, for example, --set epochs=2")
        parsed[key] = read_value(value.strip())
    return parsed
