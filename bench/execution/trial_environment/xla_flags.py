"""Detect that a process ended because TensorFlow rejected XLA's flags in a variable.

Usage:
    refused_flags(log)             # "XLA_FLAGS is not understood by TensorFlow (...): correct ..."

TensorFlow parses the flags when it first uses XLA, and ends the process if it rejects one.
"""

import re

_PARSER_ENDED = re.compile(r"parse_flags_from_env\.cc:\d+\] (.*)")
_MISREAD = re.compile(r"Couldn't interpret value .* for flag \w+")
_VARIABLE = re.compile(r"\b(?:TF_)?XLA_FLAGS\b")
_OF_TENSORFLOW = re.compile(r"(?:for flag |usage: --)tf_")
"""Only TF_XLA_FLAGS can hold flags with such names."""


def refused_flags(log: str) -> str | None:
    """Return the variable and its fault according to ``log``; None if the log has no such fault.

    For an unknown flag TensorFlow names the variable; for a wrong value, only the flag.
    """
    ended = _PARSER_ENDED.search(log)
    if ended is None:
        return None
    misread = _MISREAD.search(log)
    fault = misread.group() if misread else ended.group(1)
    match = _VARIABLE.search(fault)
    if match is not None:
        variable = match.group()
    else:
        variable = "TF_XLA_FLAGS" if _OF_TENSORFLOW.search(log) else "XLA_FLAGS"
    return f"{variable} is not understood by TensorFlow ({fault}): correct or unset it"
