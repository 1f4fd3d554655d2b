"""Every output format shows free text literally."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.text import escaping
from bench.report.text.escaping import latex, markdown, plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("runs/quick", "runs/quick"),
        ("caf\udce9", r"caf\udce9"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\rc\u2028d", r"a\nb\rc\u2028d"),
        ("abc\u202egpj", r"abc\u202egpj"),
        ("é 漢 – ²", "é 漢 – ²"),
    ],
)
def test_characters_that_could_steer_a_terminal_become_escape_sequences(
    text: str, shown: str
) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_text_has_no_control_characters(text: str) -> None:
    assert all(unicodedata.category(c)[0] not in "C" for c in visible(text))
    assert visible(text).encode().decode() == visible(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("R&D", "R&amp;D"),
        ("global_batch_size=32", "global_batch_size=32"),
        ("_emphasis_", r"\_emphasis\_"),
        ("*bold* `code` $x$", r"\*bold\* \`code\` \$x\$"),
        ("[matrix]", "[matrix]"),
        ("[a](b)", r"[a\](b)"),
        ("two\nlines", "two lines"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_markdown_is_escaped(text: str, shown: str) -> None:
    assert markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("50% & more", r"50\% \& more"),
        ("a_b^c~d", r"a\_b\textasciicircum{}c\textasciitilde{}d"),
        ("{x} $y$ #z", r"\{x\} \$y\$ \#z"),
        ("\\input", r"\textbackslash{}input"),
        ("<a|b>", r"\textless{}a\textbar{}b\textgreater{}"),
        ("--flag", "-{}-flag"),
        ("3 ÷ 2 – ∞", r"3 \(\div\) 2 \textendash{} \(\infty\)"),
        ("né 中", r"né \texttt{U+4E2D}"),
    ],
)
def test_latex_is_escaped(text: str, shown: str) -> None:
    assert latex(text) == shown


@given(st.text())
def test_plain_text_is_one_line_without_control_characters(text: str) -> None:
    shown = plain(text)
    assert not any(unicodedata.category(c).startswith("C") for c in shown)
    assert len(shown.splitlines()) <= 1


@given(st.text())
def test_no_markdown_cell_opens_a_tag_or_ends_early(text: str) -> None:
    shown = markdown(text)
    assert "<" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")


@given(st.text())
def test_no_text_is_a_latex_command(text: str) -> None:
    shown = latex(text)
    for escape in (r"\%", r"\&", r"\$", r"\#", r"\_"):
        shown = shown.replace(escape, "")
    assert not set("%&$#_~^") & set(shown)
    assert max(map(ord, shown), default=0) < 0x100


@given(st.text(r"ab_]([:`*|~$#&<>\\ ", max_size=8))
def test_the_fast_path_skips_no_text_that_needs_escaping(text: str) -> None:
    shown = plain(text)
    expected = escaping._MARKDOWN.sub(r"\\\1", shown).translate(escaping._HTML)
    assert markdown(text) == expected
