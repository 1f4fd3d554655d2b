"""README.md and docs/generate/claim.md quote the numbers of the published tables."""

import re

from tests.support.paths import ROOT

PUBLISHED = ROOT / "results/published"
CLAIM = (ROOT / "docs/generate/claim.md").read_text()


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of all tables in ``text``, without the numbers of footnotes."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[re.sub(r"[⁰¹²³⁴-⁹ ]+$", "", cell) for cell in row] for row in rows]


def test_the_numbers_of_the_readme_are_published() -> None:
    readme = rows_of((ROOT / "README.md").read_text())
    summary = {row[0]: row for row in rows_of((PUBLISHED / "quick/summary.md").read_text())[:8]}
    norms = {
        "none": "none",
        "batch norm after activation": "bn_post",
        "batch norm before activation": "bn_pre",
    }
    quoted = {row[0]: row[1:] for row in readme if row[0] in norms}
    assert quoted.keys() == norms.keys()
    for title, norm in norms.items():
        row = summary[f"global_batch_size=32, norm={norm}"]
        assert quoted[title] == [row[2], row[5], row[6]]


def test_the_table_of_the_claim_is_published() -> None:
    table = rows_of((PUBLISHED / "bn-overhead/summary.md").read_text())
    ratios = {row[0]: row[6] for row in table if len(row) > 6}
    (*_, header), _rule, *rows = [line.strip("| ").split(" | ") for line in claim_table()]
    assert header == "5,500,000 examples"
    jit = {"compiled epochs": "epoch", "not compiled": "none"}
    quoted = {}
    for setting, *cells in rows:
        batch, compilation = setting.removeprefix("batch ").split(", ")
        for size, cell in zip((55_000, 550_000, 5_500_000), cells, strict=True):
            label = f"global_batch_size={batch}, jit={jit[compilation]}, examples={size}"
            quoted[f"{label}, norm=bn_post"] = cell
    assert quoted == {label: ratios[label] for label in quoted}
    assert len(quoted) == 18


def test_the_other_ratios_of_the_claim_are_published() -> None:
    text = "\n".join(line for line in CLAIM.splitlines() if not line.startswith("| "))
    quoted = re.findall(r"[\d.]+ \[[\d., ]+\]", text)
    whole, target = (
        (PUBLISHED / name).read_text()
        for name in ("bn-overhead-whole/summary.md", "bn-target/index.html")
    )
    assert len(quoted) == 3
    assert quoted[0] in whole
    assert [ratio for ratio in quoted[1:] if ratio not in target] == []


def claim_table() -> list[str]:
    return [line for line in CLAIM.splitlines() if line.startswith("| ")]
