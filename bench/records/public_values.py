"""Define shapes of values that may be published: each takes a value and returns its public part.

Usage:
    VERSION(names, "2.21.0")                # "2.21.0"
    VERSION(names, "ann@gpu7")              # "hidden-1"

A value without its field's shape is replaced by a pseudonym; equal values get equal pseudonyms.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.records.pseudonyms import Pseudonyms
from bench.records.public_variable_names import VARIABLE_NAME
from bench.records.public_vocabulary import FLAG, VARIABLE_WORDS, Words, is_known
from bench.records.ranges import NOT_FINITE

Shape = Callable[[Pseudonyms, Any], Any]

_HIDDEN = "hidden"
HIDDEN_WORD = "HIDDEN"
"""Replaces a word in a command, where pseudonyms would not help."""
_MASK = "…"
_DEVICE = re.compile(r"(?:(?P<host>[^\s/]+)/)?(?P<rest>(?:worker:\d{1,5}/)?(?:CPU|GPU):\d{1,4})")
_KERNEL = re.compile(r"([1-9]\.\d{1,3}(?:\.\d{1,3})?)(.*)", re.DOTALL)
_NUMBERS = re.compile(r"-?\d{1,12}(\.\d{1,6})?(,-?\d{1,12})*")
_AMOUNT = re.compile(r"\d{1,6}(\.\d{1,6})?[%smh]")
"""A precision or a time on a command line: 2%, 20m."""


def hidden(names: Pseudonyms, value: Any) -> Any:
    """Replace a value by a pseudonym, which shows only where the value is repeated."""
    return value if value is None else names.of(_HIDDEN, repr(value))


def number(names: Pseudonyms, value: Any) -> Any:
    """Publish a number, a boolean or None, or nested lists of these, but no text."""
    if isinstance(value, list | tuple):
        return [number(names, inner) for inner in value]
    if value is None or isinstance(value, bool | int | float) or value in NOT_FINITE:
        return value
    return hidden(names, value)


def matching(pattern: str) -> Shape:
    """Publish text that matches ``pattern`` completely."""
    compiled = re.compile(pattern)

    def shape(names: Pseudonyms, value: Any) -> Any:
        if isinstance(value, str) and compiled.fullmatch(value):
            return value
        return number(names, value)

    return shape


def one_of(*words: str) -> Shape:
    """Publish one of ``words``."""
    return matching("|".join(map(re.escape, words)))


def nothing(_names: Pseudonyms, _value: Any) -> None:
    """Never publish the value."""


def suite_text(_names: Pseudonyms, value: Any) -> Any:
    """Publish the suite's own text as its author wrote it."""
    return value


VERSION = matching(r"\d{1,5}(\.\d{1,5}){0,2}((a|b|rc|\.post|\.dev)\d{1,4})?(\+nv\d\d\.\d\d)?")
NVIDIA_VERSION = matching(r"(?!10\.)\d{1,2}(\.\d{1,4}){1,3}")
"""At most four numbers, like an IP address, so no version may begin like a private address."""
HEX = matching(r"[0-9a-f]{8,40}")
MOMENT = matching(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?")


def each(shape: Shape) -> Shape:
    """Publish a list of ``shape``."""

    def shapes(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return hidden(names, value)
        return [shape(names, inner) for inner in value]

    return shapes


def fields(**known: Shape) -> Shape:
    """Publish a table without the fields that are not ``known``."""

    def shape(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return hidden(names, value)
        return {key: of(names, value[key]) for key, of in known.items() if key in value}

    return shape


def table(key: re.Pattern[str], of: Callable[[str], Shape]) -> Shape:
    """Publish the entries of a table whose keys match ``key``, with the shapes from ``of``."""

    def shape(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return hidden(names, value)
        return {k: of(k)(names, inner) for k, inner in value.items() if key.fullmatch(k)}

    return shape


def node(names: Pseudonyms, value: Any) -> Any:
    """Publish a host as a number, with a pseudonym for the address that follows its name."""
    if value is None or value in ("driver", "simulated"):
        return value
    host, bracket, address = str(value).partition(" (")
    numbered = names.of("node", host)
    return f"{numbered} ({names.of('address', address)})" if bracket else numbered


def device(names: Pseudonyms, value: Any) -> Any:
    """Publish a GPU's UUID as a pseudonym, or TensorFlow's name of a device, with its host."""
    match = _DEVICE.fullmatch(str(value))
    if match:
        return f"{node(names, match['host'])}/{match['rest']}" if match["host"] else value
    kind, dash, _ = str(value).partition("-")
    return names.of(kind, str(value)) if dash and kind in ("GPU", "MIG") else number(names, value)


def visible(names: Pseudonyms, value: Any) -> Any:
    """Publish a value of CUDA_VISIBLE_DEVICES."""
    if not isinstance(value, str) or _NUMBERS.fullmatch(value) or value in ("", "NoDevFiles"):
        return value if isinstance(value, str) else number(names, value)
    return ",".join(str(device(names, part)) for part in value.split(","))


def kernel(names: Pseudonyms, value: Any) -> Any:
    """Publish the version of a kernel's release, with a pseudonym for the rest of the name."""
    match = _KERNEL.fullmatch(str(value))
    if not match:
        return hidden(names, value)
    return match[1] + (f"-{names.of('build', str(value))}" if match[2] else "")


def words(of: Words) -> Shape:
    """Publish the known words of a name, with a pseudonym for the rest."""

    def shape(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, str):
            return number(names, value)
        known = [word for word in value.split() if is_known(word, of)]
        complete = len(known) == len(value.split())
        return " ".join(known if complete else [*known, names.of(_HIDDEN, value)])

    return shape


def reason(_names: Pseudonyms, value: Any) -> Any:
    """Publish why something failed, with a mask for words that are not in the vocabulary."""
    if value is None:
        return None
    words = [word if is_known(word, "reason") else _MASK for word in str(value).split()]
    return " ".join(w for i, w in enumerate(words) if w != _MASK or words[i - 1 : i] != [_MASK])


def variable(name: str) -> Shape:
    """Return the shape for values of the environment variable ``name``."""
    if name == "CUDA_VISIBLE_DEVICES":
        return visible

    def shape(names: Pseudonyms, value: Any) -> Any:
        text = str(value)
        if _NUMBERS.fullmatch(text) or all(w in VARIABLE_WORDS for w in text.split(",")):
            return text
        return " ".join(
            word if FLAG.fullmatch(word) else names.of(_HIDDEN, word) for word in text.split()
        )

    return shape


VARIABLES = table(VARIABLE_NAME, variable)


def command(allowed: Iterable[str], options: frozenset[str]) -> Shape:
    """Publish the words of a command that are options or ``allowed`` strings of the suite."""
    known = {*allowed, "bench", "run"}

    def word(text: str) -> str:
        option, equals, value = text.partition("=")
        if text in known or text in options or _NUMBERS.fullmatch(text) or _AMOUNT.fullmatch(text):
            return text
        if equals and option in options:
            return f"{option}={word(value)}"
        return HIDDEN_WORD

    return lambda _names, value: [word(str(text)) for text in value]
