from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(#[^)]*)?\)")
ANCHOR = re.compile(r"\[[^\]]+\]\(([^)#\s:]*)#([^)]+)\)")
HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)
SOURCE = re.compile(r"`([a-z_/]+\.py)`")
FOLDERS = ("recommender", "training", "serving", "feature_store", "benchmarks", "tests")
PATHS = [*ROOT.glob("*.py"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))]
MODULES = {f"/{path.relative_to(ROOT)}" for path in PATHS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = [match[1] for match in LINK.finditer(page.read_text(encoding="utf-8"))]
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_anchor_is_a_heading(page: Path) -> None:
    found = ANCHOR.findall(page.read_text(encoding="utf-8"))
    targets = [((page.parent / target) if target else page, anchor) for target, anchor in found]
    assert [each for each in targets if each[1] not in _anchors(each[0])] == []


def _anchors(page: Path) -> set[str]:
    """Anchors that the forge makes of a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    plain = (heading.replace("`", "").strip().lower() for heading in HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_that_is_named_exists(page: Path) -> None:
    named = set(SOURCE.findall(page.read_text(encoding="utf-8")))
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in MODULES)] == []


def test_the_list_of_decisions_names_every_one() -> None:
    folder = ROOT / "docs" / "adr"
    listed = {match[1] for match in LINK.finditer((folder / "README.md").read_text("utf-8"))}
    assert listed == {path.name for path in folder.glob("0*.md")}


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        links = LINK.finditer(page.read_text(encoding="utf-8"))
        todo += [(page.parent / match[1]).resolve() for match in links]
    assert [page for page in PAGES if page not in reached] == []


def test_the_changelog_has_a_section_for_what_comes() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
