"""Which known names somebody may have meant by one that is not known.

Usage:
    near_misses("ReLU", ["relu", "elu"])          # ["relu"]
    nearest("bn", ["none", "bn_post", "bn_pre"])  # ": did you mean 'bn_post' or 'bn_pre'?"
"""

import difflib
import re
from collections.abc import Callable, Iterable

_MOST = 3
"""Near misses that are offered: more would be a list to read, not a hint."""
_TYPO = 0.8
_RESEMBLANCE = 0.7
"""Similarities of difflib's SequenceMatcher: a slip of the finger, and some likeness."""


def nearest(word: str, names: Iterable[str]) -> str:
    """``": did you mean 'relu'?"``, or the list of what is allowed where nothing is near."""
    names = list(names)
    if close := near_misses(word, names):
        *others, last = (f"'{name}'" for name in close)
        listed = f"{', '.join(others)} or {last}" if others else last
        return f": did you mean {listed}?"
    return f": use one of {', '.join(names)}"


def near_misses(word: str, names: Iterable[str]) -> list[str]:
    """The names that ``word`` is near to by the first of these rules that finds any.

    Alike but for case and punctuation; but for a plural; having all its parts (``batch`` of
    ``batch_norm``); a slip away; abbreviated by it; of its initials; resembling it. None where
    more are found than a hint can hold.
    """
    names = list(dict.fromkeys(names))
    if not _letters(word):
        return []
    rules: tuple[Callable[[str, list[str]], list[str]], ...] = (
        lambda w, found: [n for n in found if _letters(n) == _letters(w)],
        lambda w, found: [n for n in found if _letters(n).rstrip("s") == _letters(w).rstrip("s")],
        lambda w, found: [n for n in found if set(_parts(w)) <= set(_parts(n))],
        lambda w, found: _alike(w, found, _TYPO),
        lambda w, found: [n for n in found if _abbreviates(w, n)],
        lambda w, found: [n for n in found if len(w) > 1 and _initials(n) == _letters(w)],
        lambda w, found: _alike(w, found, _RESEMBLANCE),
    )
    found = next((close for rule in rules if (close := rule(word, names))), [])
    return found if len(found) <= _MOST else []


def _letters(text: str) -> str:
    return "".join(_parts(text))


def _parts(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _initials(name: str) -> str:
    parts = _parts(name)
    return "".join(part[0] for part in parts) if len(parts) > 1 else ""


def _abbreviates(word: str, name: str) -> bool:
    """Whether each part of ``word`` shortens one of ``name``, by its end or by letters inside."""
    return all(any(_shortens(part, full) for full in _parts(name)) for part in _parts(word))


def _shortens(part: str, full: str) -> bool:
    if full.startswith(part):
        return len(part) > 1
    letters = iter(full)
    return len(part) > 2 and part[0] == full[0] and all(letter in letters for letter in part)


def _alike(word: str, names: list[str], similarity: float) -> list[str]:
    """The names as similar to ``word`` as the most similar one; none below ``similarity``."""
    matcher = difflib.SequenceMatcher(b=_letters(word), autojunk=False)
    ratios = {}
    for name in names:
        matcher.set_seq1(_letters(name))
        ratios[name] = matcher.ratio()
    best = max(ratios.values(), default=0.0)
    return [name for name, ratio in ratios.items() if ratio == best >= similarity]
