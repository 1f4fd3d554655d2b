"""Whether a process ended since it does not understand the flags that a variable has for XLA.

Usage:
    refused_flags(log)             # "XLA_FLAGS is not understood: Unknown flag ...: correct it"

TensorFlow parses them as it first uses XLA, and ends the process on the spot.
"""

import re

_PARSER_ENDED = re.compile(r"parse_flags_from_env\.cc:\d+\] (.*)")
_MISREAD = re.compile(r"Couldn't interpret value .* for flag \w+")
_VARIABLE = re.compile(r"\b(?:TF_)?XLA_FLAGS\b")
_OF_TENSORFLOW = re.compile(r"(?:for flag |usage: --)tf_")
"""Only TF_XLA_FLAGS holds flags of such names."""


def refused_flags(log: str) -> str | None:
    """The variable and what is wrong with it, as ``log`` has it; None where it has no such thing.

    TensorFlow names the variable of an unknown flag, and only the flag where its value is wrong.
    """
    ended = _PARSER_ENDED.search(log)
    if ended is None:
        return None
    misread = _MISREAD.search(log)
    said = misread.group() if misread else ended.group(1)
    named = _VARIABLE.search(said)
    if named is not None:
        variable = named.group()
    else:
        variable = "TF_XLA_FLAGS" if _OF_TENSORFLOW.search(log) else "XLA_FLAGS"
    return f"{variable} is not understood by TensorFlow ({said}): correct or unset it"
