"""TOML of unknown origin as plain data, in a time that its size bounds.

Usage:
    content = parse_toml(text)          # ValueError, with the reason, where it is none
"""

import re
import tomllib
from typing import Any

# Of parts, or blanks, of more than 200 characters a file has too few to matter.
_LONG_KEY = re.compile(
    r"""(?<![\w"'.-])                # where a run of parts begins, so that each is tried once
    (?:
        (?: "(?:[^"\\\n]|\\.){0,200}+" | '[^'\n]{0,200}+' | [\w-]{1,200}+ )
        [ \t]{0,200}+ \. [ \t]{0,200}+
    ){32}""",
    re.VERBOSE,
)
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
        raise ValueError(f"a key of more than 32 parts (at line {line})")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # Python's own, which tells programmers what to do
        raise ValueError(_DIGITS) from None
