"""What a placements file may say is described where it is looked for."""

from __future__ import annotations

import re

import pytest

from recommender.errors import ConfigError
from recommender.placements import DEFAULT_FILE, parse_placements
from tests.conftest import ROOT

WORD = re.compile(r"'(\w+)'")
UNKNOWN = "no_such_key"
TABLES: dict[str, dict[str, object]] = {
    "placement": {"placements": {"home": {UNKNOWN: 1}}},
    "stage": {"placements": {"home": {"stage": {"loyal": {UNKNOWN: 1}}}}},
    "explore": {"explore": {UNKNOWN: 1}, "placements": {"home": {}}},
    "fatigue": {"fatigue": {UNKNOWN: 1}, "placements": {"home": {}}},
    "pace": {"pace": {UNKNOWN: 1}, "placements": {"home": {}}},
    "mode": {"pace": {"hurried": {UNKNOWN: 1}}, "placements": {"home": {}}},
}


def _accepted(table: str) -> list[str]:
    """Keys of a table, as the refusal of an unknown one names them."""
    with pytest.raises(ConfigError, match=UNKNOWN) as refused:
        parse_placements(TABLES[table])
    keys = WORD.findall(str(refused.value).partition("accepted:")[2])
    assert len(keys) > 2
    return keys


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_shipped_file_describes_every_key(table: str) -> None:
    lines = DEFAULT_FILE.read_text(encoding="utf-8").splitlines()
    comments = "\n".join(line for line in lines if line.startswith("#"))
    assert [key for key in _accepted(table) if not re.search(rf"\b{key}\b", comments)] == []


@pytest.mark.parametrize(
    ("table", "page"),
    [("fatigue", "fatigue.md"), ("pace", "pace.md"), ("mode", "pace.md"), ("stage", "subtlety.md")],
)
def test_the_page_on_it_names_every_key(table: str, page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if table == "stage":
        text = text.split("A stage may set")[1].split(";")[0]
    assert [key for key in _accepted(table) if not re.search(rf"\b{key}\b", text)] == []
