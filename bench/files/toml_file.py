"""Parse TOML of unknown origin, in a time proportional to its size.

Usage:
    content = parse_toml(text)          # ValueError, with the reason, if it is invalid
"""

import re
import tomllib
from typing import Any

# A file has too few parts or blanks of more than 200 characters to matter.
_LONG_KEY = re.compile(
    r"""(?<![\w"'.-])                # the beginning of a run of parts, so that each is tried once
    (?:
        (?: "(?:[^"\\\n]|\\.){0,200}+" | '[^'\n]{0,200}+' | [\w-]{1,200}+ )
        [ \t]{0,200}+ \. [ \t]{0,200}+
    ){32}""",
    re.VERBOSE,
)
# Python reads such numbers of any length, and then fails to write them in decimal.
_LONG_NUMBER = re.compile(r"\b0[xob][\da-fA-F_]{400}")
_DIGITS = "a number has too many digits"


def parse_toml(text: str) -> dict[str, Any]:
    """Return the content of a TOML document.

    Raises ValueError if it is invalid, is nested too deeply, has a number with too many digits, or
    has a dotted key with too many parts, for which the parser takes quadratic time.
    """
    if _LONG_NUMBER.search(text):
        raise ValueError(_DIGITS)
    if match := _LONG_KEY.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise ValueError(f"a key of more than 32 parts (at line {line})")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # Python's own message is meant for programmers
        raise ValueError(_DIGITS) from None
