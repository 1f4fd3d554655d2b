"""Paths and folders that the documents name exist."""

import re
from collections import Counter

import pytest

from tests.support.paths import ROOT

DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("clusters/*.md")])
BASES = ["", "bench", "bench/execution", "bench/execution/ray_backend", "bench/training", "docs"]
"""Folders that a document may leave out of a path."""


@pytest.mark.parametrize("page", [d for d in DOCS if d.name != "results.md"], ids=lambda p: p.name)
def test_pages_name_existing_python_files(page: object) -> None:
    text = (ROOT / str(page)).read_text(encoding="utf-8")
    for path in re.findall(r"`([\w./-]+\.py)`", text):
        named = any((ROOT / base / path).exists() for base in BASES)
        assert named or list(ROOT.glob(f"bench/**/{path}")), path


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_architecture_has_every_folder_of_the_package() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    tree = text.split("## Folders")[1].split("##")[0]
    for folder in (ROOT / "bench").rglob("__init__.py"):
        assert f" {folder.parent.name}/ " in tree or folder.parent.name == "bench", folder


def test_the_way_to_the_first_step_leads_along_existing_files() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\d+\. `([\w/.]+)`", text, re.MULTILINE)
    assert 5 < len(steps) < 12
    assert [step for step in steps if not (ROOT / step).exists()] == []


def test_the_glossary_has_no_term_twice() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Glossary")[1]
    terms = re.findall(r"^\| ([^|]+?) \|", text, re.MULTILINE)
    assert len(terms) > 50
    assert len(terms) == len(set(terms))


def test_no_two_modules_have_the_same_file_name() -> None:
    for folder in ("bench", "tests"):
        names = Counter(path.name for path in (ROOT / folder).rglob("*.py"))
        del names["__init__.py"], names["conftest.py"]
        assert [name for name, count in names.items() if count > 1] == []
