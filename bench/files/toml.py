"""TOML of unknown origin as plain data, in a time that its size bounds.

Usage:
    content = parse_toml(text)          # ValueError, with the reason, where it is none
"""

import re
import tomllib
from typing import Any

_MOST_KEY_PARTS = 32
_MOST_PART = 200
"""Characters of a part: of longer ones a file has too few to matter."""
_PART = r"""(?:"(?:[^"\\\n]|\\.){0,%d}+"|'[^'\n]{0,%d}+'|[\w-]{1,%d}+)""" % ((_MOST_PART,) * 3)
_DOT = r"[ \t]{0,%d}+\.[ \t]{0,%d}+" % ((_MOST_PART,) * 2)
# The lookbehind has a run of parts tried once, from where it begins.
_LONG_KEY = re.compile(r"""(?<![\w"'.-])(?:%s%s){%d}""" % (_PART, _DOT, _MOST_KEY_PARTS))

# Python reads these whatever their length, and then fails to write them in decimal.
_LONG_NUMBER = re.compile(r"\b0[xob][\da-fA-F_]{400}")
_DIGITS = "a number has too many digits"


def parse_toml(text: str) -> dict[str, Any]:
    """The content of a TOML document.

    Raises ValueError where it is none, is nested too deeply, or has a number of too many digits
    or a dotted key of too many parts, which the parser reads in the square of their number.
    """
    if _LONG_NUMBER.search(text):
        raise ValueError(_DIGITS)
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(f"a key of more than {_MOST_KEY_PARTS} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # Python's own, which tells programmers what to do
        raise ValueError(_DIGITS) from None
