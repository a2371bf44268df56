"""Commands that a page shows exist as they are written."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from scripts.generate_docs import all_verbs
from tests.conftest import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
VERBS = all_verbs()
VERB = re.compile(r"\bdesirepath ((?:[a-z]+ )?[a-z]+)([^`\n]*)")
MODULE = re.compile(r"python -m ((?:benchmarks|scripts)\.\w+)([^`\n]*)")
SHELL = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^make ([a-z-]+)", re.MULTILINE)
SPAN = re.compile(r"`make ([a-z-]+)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_verb_and_its_options_exist(page: Path) -> None:
    unknown = []
    for words, rest in VERB.findall(_text(page)):
        name = next((each for each in (words, words.split()[0]) if each in VERBS), None)
        if name is None:
            unknown.append(words)
            continue
        flags = ((*each.opts, *each.secondary_opts) for each in VERBS[name].params)
        accepted = {flag for group in flags for flag in group}
        unknown += [f"{name} {option}" for option in OPTION.findall(rest) if option not in accepted]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_benchmark_and_its_options_exist(page: Path) -> None:
    unknown = []
    for module, rest in MODULE.findall(_text(page)):
        folder, _, name = module.partition(".")
        if not (ROOT / folder / f"{name}.py").exists():
            unknown.append(module)
        source = _source(folder)
        options = [each for each in OPTION.findall(rest) if f'"{each}"' not in source]
        unknown += [f"{module} {option}" for option in options]
    assert unknown == []


def test_every_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {name for page in PAGES for name in SPAN.findall(_text(page))}
    blocks = [block for page in PAGES for block in SHELL.findall(_text(page))]
    assert named | {name for block in blocks for name in TARGET.findall(block)} <= targets


@cache
def _source(folder: str) -> str:
    """All of a folder: some options are read by the parts of a benchmark."""
    return "".join(path.read_text("utf-8") for path in (ROOT / folder).rglob("*.py"))


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8").replace("\\\n", " ")
