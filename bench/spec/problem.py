"""What pydantic found wrong, in plain words; and how a value is written in a message.

Usage:
    except ValidationError as error:
        described(error.errors()[0])   # "compare[0].axis cannot be 3: it should be text"
"""

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

_REQUIREMENTS = {
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "string_type": "should be text",
    "int_parsing": "should be a whole number",
    "float_parsing": "should be a number",
    "bool_parsing": "should be true or false",
    "extra_forbidden": "should not be there",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "greater_than": "should be above {gt}",
    "greater_than_equal": "should be {ge} or more",
    "less_than": "should be below {lt}",
    "less_than_equal": "should be {le} or less",
    "finite_number": "should be a finite number",
    "too_short": "should have {min_length} numbers",
    "too_long": "should have {max_length} numbers",
    "string_too_long": "should be {max_length} characters or shorter",
    "string_pattern_mismatch": (
        "should be letters, digits, dots, dashes and underscores, and begin with a letter or digit"
    ),
}
"""By pydantic's type of error; the names in braces are those of its context."""

_PART_OF_A_TYPE = re.compile(r"^(constrained|function|literal|nullable|union|tagged)-|\[")
"""What pydantic puts into a place where a value may be of several types."""
_MOST_CHARACTERS = 80
_MOST_ITEMS = 80
"""Of a list, which may come from a damaged file and be of any length."""


def described(error: ErrorDetails) -> str:
    """The place, the value and what it should be, as a sentence."""
    if error["type"] == "missing":
        return f"{place(error['loc'])} is missing"
    if error["type"] == "value_error":  # a sentence of its own, on several keys together
        return f"{place(error['loc'])}: {requirement(error)}".removeprefix(": ")
    value = shown(error["input"])
    if len(value) > _MOST_CHARACTERS:
        value = f"{value[:_MOST_CHARACTERS]}…"
    return f"{place(error['loc'])} cannot be {value}: it {requirement(error)}"


def requirement(error: ErrorDetails) -> str:
    """What the value should be, as the end of a sentence: "should be 1 or more"."""
    known = _REQUIREMENTS.get(error["type"])
    if known is None:
        return error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return known.format(**error.get("ctx", {}))


def place(location: Iterable[int | str]) -> str:
    """A place in a document: ``("compare", 0, "axis")`` is "compare[0].axis"."""
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step}"
        for step in location
        if not (isinstance(step, str) and _PART_OF_A_TYPE.search(step))
    )
    return "".join(steps).removeprefix(".")


def shown(value: Any) -> str:
    """A value as its reader would write it in TOML; a table only by that name."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date | datetime.time):
        return f"the date or time {value.isoformat()}"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        more = ["…"] if len(value) > _MOST_ITEMS else []
        return f"[{', '.join([*map(shown, value[:_MOST_ITEMS]), *more])}]"
    return repr(value)
