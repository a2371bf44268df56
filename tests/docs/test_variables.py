"""Every `DESIREPATH_*` variable that is read is described, and every one described is read."""

from __future__ import annotations

import re
from pathlib import Path

from serving.settings import FOREIGN, settings_table
from tests.conftest import ROOT

VARIABLE = re.compile(r"DESIREPATH_[A-Z_]*[A-Z]")
PACKAGES = ("recommender", "training", "serving", "feature_store", "benchmarks", "scripts")
SETTINGS = {row["variable"] for row in settings_table()}


def _named(paths: list[Path]) -> set[str]:
    return {found for path in paths for found in VARIABLE.findall(path.read_text(encoding="utf-8"))}


def test_the_pages_name_all_variables_and_no_other() -> None:
    pages = _named([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    assert pages == SETTINGS | FOREIGN


def test_what_the_code_reads_does_not_keep_the_service_from_starting() -> None:
    sources = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    assert _named([*sources, ROOT / "Makefile", ROOT / "Dockerfile"]) <= SETTINGS | FOREIGN
