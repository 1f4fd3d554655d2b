"""A run's records without the names of its machines, its users' folders and its addresses.

Usage:
    rename = renamer(info, records)
    public = rename(record)              # plain data in, plain data out

For results that are published: hosts become node-1, node-2 ... and the driver, an absolute path
keeps its last part, an IP address is left out of what processes said, and the address of a
cluster out of commands. Nothing measured changes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_ABSOLUTE = re.compile(r"(?<![\w.:/>~-])~?/(?:[\w.+@-]+/)+(?=[\w.+@-])")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b")
_SAID = ("error", "log_tail")
"""Fields of a record that a process wrote: elsewhere four numbers with dots are a version."""

_WORDS = frozenset(
    {"executor", "status", "trial", "suite", "pairs", "labels", "duplicates", "packages"}
)
"""Fields of words that are not a machine's, though a machine may be called ``ray`` or ``mlp``."""
_NO_HOST = frozenset({"driver", "simulated"})
"""Where the driver ran, and where nothing did."""

_FOLDERS = "library_path"
"""A field of folders of this machine's, whose last parts may be a user's name: none is public."""
_FOLDER = "FOLDER"

_ADDRESS_OPTION = "--address"

Renamer = Callable[[Any], Any]


def renamer(info: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> Renamer:
    """What makes plain data of this run public; hosts are numbered as the run named them."""
    hosts = dict.fromkeys(
        name.partition(" (")[0]
        for invocation in info["invocations"]
        for name in invocation["environment"]
    )
    hosts |= dict.fromkeys(record["node"] for record in records if record.get("node"))
    real = [host for host in hosts if host not in _NO_HOST]
    named = {host: f"node-{number}" for number, host in enumerate(real, start=1)}
    ordered = sorted(named, key=len, reverse=True)
    found = re.compile("|".join(rf"(?<![\w-]){re.escape(host)}(?![\w-])" for host in ordered))

    def text(value: str, said: bool, words: bool) -> str:
        value = _ABSOLUTE.sub("", value)
        if named and not words:
            value = found.sub(lambda match: named[match.group()], value)
        return _ADDRESS.sub("ADDRESS", value) if said else value

    def rename(value: Any, said: bool = False, words: bool = False) -> Any:
        if isinstance(value, str):
            return text(value, said, words)
        if isinstance(value, Mapping):
            return {
                text(key, " (" in key, words): rename(
                    _cleared(key, inner),
                    said or key in _SAID,
                    words or key in _WORDS,
                )
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [rename(inner, said, words) for inner in value]
        return value

    return rename


def _cleared(key: str, value: Any) -> Any:
    """``value`` of a field ``key`` without what no pattern finds in it."""
    if key == "command":
        return _without_address(value)
    return [_FOLDER for _ in value] if key == _FOLDERS else value


def _without_address(command: Iterable[str]) -> list[str]:
    """A command's words, but for the address of the cluster that it ran on, however written."""
    words: list[str] = []
    for word in command:
        if words and words[-1] == _ADDRESS_OPTION:
            words.append("ADDRESS")
        elif word.startswith(f"{_ADDRESS_OPTION}="):
            words.append(f"{_ADDRESS_OPTION}=ADDRESS")
        else:
            words.append(word)
    return words
