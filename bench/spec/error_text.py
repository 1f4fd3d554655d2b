"""Turn pydantic's errors into plain sentences, and values into the text of a message.

Usage:
    except ValidationError as error:
        error_text(error.errors()[0])   # "compare[0].axis cannot be 3: it should be text"
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
"""Sentences by pydantic's type of error; the names in braces are keys of its context."""

_TYPE_STEP = re.compile(r"^(constrained|function|literal|nullable|union|tagged)-|\[")
"""Parts of a location that pydantic adds for a value that may have several types."""
_MAX_CHARACTERS = 80
_MAX_ITEMS = 80
"""Limit of a list, which may come from a damaged file and have any length."""


def error_text(error: ErrorDetails) -> str:
    """Return a sentence with the location, the value and what it should be."""
    if error["type"] == "missing":
        return f"{location_text(error['loc'])} is missing"
    if error["type"] == "value_error":  # a complete sentence about several keys
        return f"{location_text(error['loc'])}: {requirement(error)}".removeprefix(": ")
    value = value_text(error["input"])
    if len(value) > _MAX_CHARACTERS:
        value = f"{value[:_MAX_CHARACTERS]}…"
    return f"{location_text(error['loc'])} cannot be {value}: it {requirement(error)}"


def requirement(error: ErrorDetails) -> str:
    """Return what the value should be, as the end of a sentence: "should be 1 or more"."""
    sentence = _REQUIREMENTS.get(error["type"])
    if sentence is None:
        return error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return sentence.format(**error.get("ctx", {}))


def location_text(location: Iterable[int | str]) -> str:
    """Return a location in a document as text: ``("compare", 0, "axis")`` is "compare[0].axis"."""
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step}"
        for step in location
        if not (isinstance(step, str) and _TYPE_STEP.search(step))
    )
    return "".join(steps).removeprefix(".")


def value_text(value: Any) -> str:
    """Return a value as a user writes it in TOML; a table only as "a table"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.date | datetime.time):
        return f"the date or time {value.isoformat()}"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        more = ["…"] if len(value) > _MAX_ITEMS else []
        return f"[{', '.join([*map(value_text, value[:_MAX_ITEMS]), *more])}]"
    return repr(value)
