r"""Free text (labels, reasons, descriptions) made safe for each format.

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
"""What any of the others may change: most cells, of which there may be 100,000, have none."""
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
    """One line without control characters, so that no text can steer a terminal."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    spaced = " ".join(text.split())
    return "".join(c for c in spaced if unicodedata.category(c)[0] != "C")


def visible(text: str) -> str:
    r"""``text`` with each character that could steer a terminal written out: "\x1b", "\u202e".

    Control characters and line ends, marks of direction, and what is no character: a file's name
    may hold all of these.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_written_out(c) if _steers(c) else c for c in text)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()


def markdown(text: str) -> str:
    """``text`` as it stands, in a cell of a Markdown table; no markup, no HTML."""
    shown = plain(text)
    if not _MARKED.search(shown):
        return shown
    return _MARKDOWN.sub(r"\\\1", shown).translate(_HTML)


def markdown_code(text: str) -> str:
    """``text`` as code, in a cell of a Markdown table: its fence is longer than any in it."""
    shown = plain(text).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, _TICKS.findall(shown)), default=0))
    room = " " if "`" in shown else ""
    return f"{fence}{room}{shown}{room}{fence}"


def link(path: str) -> str:
    """``path`` as the target of a Markdown link."""
    return urllib.parse.quote(os.fsencode(path))


def latex(text: str) -> str:
    """``text`` as it stands, for pdflatex; letters beyond Latin by their code point."""
    shown = plain(text).translate(_LATEX).replace("--", "-{}-")  # hyphens, not a dash
    return shown if shown.isascii() else _BEYOND_LATIN.sub(_code_point, shown)


def _code_point(match: re.Match[str]) -> str:
    return rf"\texttt{{U+{ord(match.group()):04X}}}"
