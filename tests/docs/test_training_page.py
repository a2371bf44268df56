"""The page on training names every source and every operation of an engine, each of them once."""

from __future__ import annotations

import inspect
import re

from tests.conftest import ROOT
from training.engine import Engine
from training.sections import SOURCES

PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
STAGE = re.compile(r"^\| ([a-z_, ]+) \| `", re.MULTILINE)
ENTRY = re.compile(r"^- \*\*([a-z_, ]+)\*\*", re.MULTILINE)
# Answered from what other stages leave, see `recommender.candidates`.
WITHOUT_A_STAGE = {"returns", "popular_in_category"}


def _names(found: list[str]) -> list[str]:
    return [name for names in found for name in names.split(", ")]


def test_every_source_has_a_stage_and_none_stands_twice() -> None:
    stages, entries = _names(STAGE.findall(PAGE)), _names(ENTRY.findall(PAGE))
    assert set(SOURCES) - set(stages) == WITHOUT_A_STAGE
    assert len(set(stages)) == len(stages)
    assert len(set(entries)) == len(entries)


def test_the_operations_of_an_engine_are_all_named() -> None:
    named = PAGE.split("coarse operations, ")[1].split(" whose protocol")[0]
    methods = {name for name, _ in inspect.getmembers(Engine, inspect.isfunction)}
    public = {name for name in methods if not name.startswith("_")}
    assert set(re.findall(r"`(\w+)`", named)) == public
