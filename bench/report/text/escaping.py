r"""Escape free text (labels, reasons, descriptions) for each output format.

Usage:
    markdown("a|b <script>")      # r"a\|b &lt;script&gt;"
"""

import os
import re
import unicodedata
import urllib.parse

_MARKDOWN = re.compile(r"([\\`*|~$#]|\](?=[(\[:])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_TICKS = re.compile("`+")
_MARKED = re.compile(r"[\\`*|~$#_&<>]|\][(\[:]")
"""What `markdown` may change. Most cells have none, and a table may have 100,000 of them."""
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "–": r"\textendash{}",
        "−": r"\(-\)",
        "…": r"\ldots{}",
        "÷": r"\(\div\)",
        "×": r"\(\times\)",
        "∞": r"\(\infty\)",
        "µ": r"\(\mu\)",
    }
)
_BEYOND_LATIN = re.compile(r"[^\x00-\xff]")


def plain(text: str) -> str:
    """Return ``text`` on one line without control characters, which could steer a terminal."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c)[0] != "C")


def visible(text: str) -> str:
    r"""Return ``text`` with "\x1b" or "\u202e" for each character that could steer a terminal.

    These are control characters, line ends, marks of text direction and code points that are not
    characters. The name of a file may contain any of them.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_sequence(c) if _is_unsafe(c) else c for c in text)


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _escape_sequence(character: str) -> str:
    return character.encode("unicode_escape").decode()


def markdown(text: str) -> str:
    """Return Markdown that shows ``text`` literally in a table cell, without markup or HTML."""
    shown = plain(text)
    if not _MARKED.search(shown):
        return shown
    return _MARKDOWN.sub(r"\\\1", shown).translate(_HTML)


def markdown_code(text: str) -> str:
    """Return ``text`` as code for a table cell, in a fence longer than any run of backticks."""
    shown = plain(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, _TICKS.findall(shown)), default=0))
    padding = " " if "`" in shown else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def link(path: str) -> str:
    """Return ``path`` quoted as the target of a Markdown link."""
    return urllib.parse.quote(os.fsencode(path))


def latex(text: str) -> str:
    """Return LaTeX that shows ``text`` literally; characters beyond Latin-1 as code points."""
    shown = plain(text).translate(_LATEX).replace("--", "-{}-")  # hyphens, not a dash
    return shown if shown.isascii() else _BEYOND_LATIN.sub(_code_point, shown)


def _code_point(match: re.Match[str]) -> str:
    return rf"\texttt{{U+{ord(match.group()):04X}}}"
