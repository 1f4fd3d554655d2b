"""Suggest the known names that a user may have meant by an unknown one.

Usage:
    near_misses("ReLU", ["relu", "elu"])          # ["relu"]
    nearest("bn", ["none", "bn_post", "bn_pre"])  # ": did you mean 'bn_post' or 'bn_pre'?"
"""

import difflib
import re
from collections.abc import Callable, Iterable

_MAX_SUGGESTIONS = 3
"""More suggestions would be a list to read, not a hint."""
_TYPO = 0.8
_RESEMBLANCE = 0.7
"""Similarities of difflib's SequenceMatcher: a typing error, and some resemblance."""


def nearest(word: str, names: Iterable[str]) -> str:
    """Return ``": did you mean 'relu'?"``, or the list of all names if none is near."""
    names = list(names)
    if close := near_misses(word, names):
        *others, last = (f"'{name}'" for name in close)
        listed = f"{', '.join(others)} or {last}" if others else last
        return f": did you mean {listed}?"
    return f": use one of {', '.join(names)}"


def near_misses(word: str, names: Iterable[str]) -> list[str]:
    """Return the names near ``word``, by the first of these rules that matches any.

    A name is the word except for case and punctuation; except for a plural; has all its parts
    (``batch`` of ``batch_norm``); differs by a typing error; is abbreviated by it; has its letters
    as initials; resembles it. Returns nothing if more match than fit in a hint.
    """
    names = list(dict.fromkeys(names))
    if not _letters(word):
        return []
    rules: tuple[Callable[[str, list[str]], list[str]], ...] = (
        lambda w, names: [n for n in names if _letters(n) == _letters(w)],
        lambda w, names: [n for n in names if _letters(n).rstrip("s") == _letters(w).rstrip("s")],
        lambda w, names: [n for n in names if set(_parts(w)) <= set(_parts(n))],
        lambda w, names: _alike(w, names, _TYPO),
        lambda w, names: [n for n in names if _abbreviates(w, n)],
        lambda w, names: [n for n in names if len(w) > 1 and _initials(n) == _letters(w)],
        lambda w, names: _alike(w, names, _RESEMBLANCE),
    )
    matches = next((close for rule in rules if (close := rule(word, names))), [])
    return matches if len(matches) <= _MAX_SUGGESTIONS else []


def _letters(text: str) -> str:
    return "".join(_parts(text))


def _parts(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _initials(name: str) -> str:
    parts = _parts(name)
    return "".join(part[0] for part in parts) if len(parts) > 1 else ""


def _abbreviates(word: str, name: str) -> bool:
    """Return whether each part of ``word`` shortens a part of ``name``, at its end or inside."""
    return all(any(_shortens(part, full) for full in _parts(name)) for part in _parts(word))


def _shortens(part: str, full: str) -> bool:
    if full.startswith(part):
        return len(part) > 1
    letters = iter(full)
    return len(part) > 2 and part[0] == full[0] and all(letter in letters for letter in part)


def _alike(word: str, names: list[str], similarity: float) -> list[str]:
    """Return the names most similar to ``word``; none below ``similarity``."""
    matcher = difflib.SequenceMatcher(b=_letters(word), autojunk=False)
    ratios = {}
    for name in names:
        matcher.set_seq1(_letters(name))
        ratios[name] = matcher.ratio()
    best = max(ratios.values(), default=0.0)
    return [name for name, ratio in ratios.items() if ratio == best >= similarity]
