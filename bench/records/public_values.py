"""Shapes of values that may be published: each takes a value, and gives what is public of it.

Usage:
    VERSION(names, "2.21.0")                # "2.21.0"
    VERSION(names, "ann@gpu7")              # "hidden-1"

What has not its field's shape is given a pseudonym, by which equal values stay equal.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.records.pseudonyms import Pseudonyms
from bench.records.ranges import NOT_FINITE
from bench.records.variable_names import VARIABLE_NAME
from bench.records.vocabulary import FLAG, VARIABLE_WORDS, Words, is_known

Shape = Callable[[Pseudonyms, Any], Any]

_HIDDEN = "hidden"
HIDDEN_WORD = "HIDDEN"
"""In a command, which has no use for pseudonyms."""
_MASK = "…"
_DEVICE = re.compile(r"(?:(?P<host>[^\s/]+)/)?(?P<rest>(?:worker:\d{1,5}/)?(?:CPU|GPU):\d{1,4})")
_KERNEL = re.compile(r"([1-9]\.\d{1,3}(?:\.\d{1,3})?)(.*)", re.DOTALL)
_NUMBERS = re.compile(r"-?\d{1,12}(\.\d{1,6})?(,-?\d{1,12})*")


def hidden(names: Pseudonyms, value: Any) -> Any:
    """Nothing but that it is the same as elsewhere."""
    return value if value is None else names.of(_HIDDEN, repr(value))


def number(names: Pseudonyms, value: Any) -> Any:
    """A number, a truth value or nothing, of whatever structure; no text."""
    if isinstance(value, list | tuple):
        return [number(names, inner) for inner in value]
    if value is None or isinstance(value, bool | int | float) or value in NOT_FINITE:
        return value
    return hidden(names, value)


def matching(pattern: str) -> Shape:
    """Text that is wholly ``pattern``."""
    compiled = re.compile(pattern)

    def shape(names: Pseudonyms, value: Any) -> Any:
        if isinstance(value, str) and compiled.fullmatch(value):
            return value
        return number(names, value)

    return shape


def one_of(*words: str) -> Shape:
    """One of ``words``."""
    return matching("|".join(map(re.escape, words)))


def nothing(_names: Pseudonyms, _value: Any) -> None:
    """What is never published."""


def suite_s(_names: Pseudonyms, value: Any) -> Any:
    """The suite's own: published as its author wished."""
    return value


VERSION = matching(r"\d{1,5}(\.\d{1,5}){0,2}((a|b|rc|\.post|\.dev)\d{1,4})?(\+nv\d\d\.\d\d)?")
NVIDIA_VERSION = matching(r"(?!10\.)\d{1,2}(\.\d{1,4}){1,3}")
"""Of four numbers at most, as an address has them: none begins as one does."""
HEX = matching(r"[0-9a-f]{8,40}")
MOMENT = matching(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?")


def each(shape: Shape) -> Shape:
    """A list of ``shape``."""

    def shapes(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return hidden(names, value)
        return [shape(names, inner) for inner in value]

    return shapes


def fields(**known: Shape) -> Shape:
    """A table of fields, of which those that are not ``known`` are left out."""

    def shape(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return hidden(names, value)
        return {key: of(names, value[key]) for key, of in known.items() if key in value}

    return shape


def table(key: re.Pattern[str], of: Callable[[str], Shape]) -> Shape:
    """A table whose keys match ``key``, each with the shape that ``of`` gives it."""

    def shape(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return hidden(names, value)
        return {k: of(k)(names, inner) for k, inner in value.items() if key.fullmatch(k)}

    return shape


def node(names: Pseudonyms, value: Any) -> Any:
    """A host: numbered, with what tells two of one name apart."""
    if value is None or value in ("driver", "simulated"):
        return value
    host, bracket, address = str(value).partition(" (")
    numbered = names.of("node", host)
    return f"{numbered} ({names.of('address', address)})" if bracket else numbered


def device(names: Pseudonyms, value: Any) -> Any:
    """A GPU by its UUID, or a device as TensorFlow names it, of a host perhaps."""
    found = _DEVICE.fullmatch(str(value))
    if found:
        return f"{node(names, found['host'])}/{found['rest']}" if found["host"] else value
    kind, dash, _ = str(value).partition("-")
    return names.of(kind, str(value)) if dash and kind in ("GPU", "MIG") else number(names, value)


def visible(names: Pseudonyms, value: Any) -> Any:
    """What CUDA_VISIBLE_DEVICES holds."""
    if not isinstance(value, str) or _NUMBERS.fullmatch(value) or value in ("", "NoDevFiles"):
        return value if isinstance(value, str) else number(names, value)
    return ",".join(str(device(names, part)) for part in value.split(","))


def kernel(names: Pseudonyms, value: Any) -> Any:
    """A kernel's release: its numbers, and what else was built into its name by a pseudonym."""
    found = _KERNEL.fullmatch(str(value))
    if not found:
        return hidden(names, value)
    return found[1] + (f"-{names.of('build', str(value))}" if found[2] else "")


def words(of: Words) -> Shape:
    """A name made of known words; the rest of it by a pseudonym."""

    def shape(names: Pseudonyms, value: Any) -> Any:
        if not isinstance(value, str):
            return number(names, value)
        known = [word for word in value.split() if is_known(word, of)]
        whole = len(known) == len(value.split())
        return " ".join(known if whole else [*known, names.of(_HIDDEN, value)])

    return shape


def reason(_names: Pseudonyms, value: Any) -> Any:
    """Why something did not go well, without the words that nobody here has written."""
    if value is None:
        return None
    said = [word if is_known(word, "reason") else _MASK for word in str(value).split()]
    return " ".join(w for i, w in enumerate(said) if w != _MASK or said[i - 1 : i] != [_MASK])


def variable(name: str) -> Shape:
    """The value of the environment's variable ``name``."""
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
    """A command's words, where they are options or the suite's ``allowed`` strings."""
    known = {*allowed, "bench", "run"}

    def word(text: str) -> str:
        option, equals, value = text.partition("=")
        if text in known or text in options or _NUMBERS.fullmatch(text):
            return text
        if equals and option in options:
            return f"{option}={word(value)}"
        return HIDDEN_WORD

    return lambda _names, value: [word(str(text)) for text in value]
