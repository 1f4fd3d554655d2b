"""Define the valid range of each kind of value in a record.

Usage:
    epoch_s: EpochSeconds
    val_accuracy: Share | None = None

Records come from files, which may be damaged or come from a stranger. Each value is checked when it
is read, so that later code can compute with it: no integer overflows 64 bits, no time is negative,
and nothing is divided by zero.
"""

import datetime
import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

MAX_S = 1e10
"""Three centuries."""
MAX_COUNT = 10**18
"""Below 2**63, so that it fits into a column of integers."""
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The names of these numbers in JSON."""


def _not_finite(value: Any) -> float:
    if isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    if isinstance(value, float) and not math.isfinite(value):
        return value
    raise ValueError("should be a number")


def _moment(text: str) -> str:
    year = datetime.datetime.fromisoformat(text).year
    if not 1970 <= year <= 9000:  # every platform can convert these to a timestamp
        raise ValueError("should be a time of this millennium or a later one")
    return text


def encodable(text: str) -> str:
    """Return ``text`` with escapes for characters that UTF-8 cannot encode, as in file names."""
    return text.encode("utf-8", "backslashreplace").decode()


_NotFinite = Annotated[float, BeforeValidator(_not_finite)]
_IN_ORDER = Field(union_mode="left_to_right")

Number = Annotated[Annotated[float, Field(strict=True)] | _NotFinite, _IN_ORDER]
"""Any number, including NaN and infinities."""
Seconds = Annotated[float, Field(strict=True, ge=0, le=MAX_S)]
EpochSeconds = Annotated[float, Field(strict=True, ge=1e-9, le=MAX_S)]
"""A time that is not zero, because throughputs are divided by it."""
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
"""A part of a whole, or an accuracy."""
SomeShare = Annotated[Share | _NotFinite, _IN_ORDER]
"""A share, or NaN or infinity if training gave no finite number."""
Amount = Annotated[float, Field(strict=True, ge=0, le=1e100)]
"""Joules, watts."""
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_COUNT)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]
Flag = Annotated[bool, Field(strict=True)]
Moment = Annotated[str, AfterValidator(_moment)]
"""ISO 8601."""
Text = Annotated[str, AfterValidator(encodable)]
"""Text from a command line, a process or a library."""
