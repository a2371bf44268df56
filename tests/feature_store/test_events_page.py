"""``docs/events.md`` and the code say the same."""

from __future__ import annotations

import json
import re

import pytest

from feature_store.dialects import normalise
from feature_store.dialects.names import markdown_table
from feature_store.event_rules import FIELDS
from feature_store.events import EventItem
from feature_store.loaders.registry import FORMATS
from recommender import terms
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"### `(\w+)`\n\n[^\n]+\n\n```json\n(.*?)```", PAGE, re.DOTALL)


def test_every_type_has_a_section_with_an_example() -> None:
    assert [kind for kind, _ in EXAMPLES] == list(terms.EVENT_TYPES)


@pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=[kind for kind, _ in EXAMPLES])
def test_every_example_is_accepted(kind: str, example: str) -> None:
    event = normalise(json.loads(example), 0)
    assert event.event_type == kind
    assert not event.arrival_time


def test_the_first_example_is_accepted() -> None:
    (first, *_) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert normalise(json.loads(first), 0).event_id == "01J9-3"


def test_the_code_on_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "docs/events.md", "exec"), {})  # noqa: S102 - our own page


def test_the_table_of_names_is_the_one_in_the_code() -> None:
    assert markdown_table() in PAGE


def test_every_field_is_described() -> None:
    described = set(re.findall(r"`(\w+)`", PAGE))
    fields = {*FIELDS, *EventItem.__struct_fields__}
    ranges = {"item_category2", "item_category3", "item_category4"}  # "item_category to …5"
    assert fields - described == ranges


def test_every_format_is_described() -> None:
    for found in FORMATS.values():
        assert f"| `{found.name}` | {found.title} | {found.expects} |" in PAGE
        if found.name != "desirepath-log":
            assert re.search(rf"^### .*\b{found.name}\b", PAGE, re.MULTILINE)


def test_every_code_and_reason_is_described() -> None:
    described = set(re.findall(r"`(\w+)`", PAGE))
    call = re.compile(r"(?:refused|InvalidEventError)\(\s*\"([a-z_]+)\"")
    fault = re.compile(
        r"\"([a-z_]+)\": (?:~|_any|_lacks|kind|price|signed|pl\.col|ts\.|source|milli)"
    )
    reasons = re.compile(
        r"(?:pl\.lit\(|header, )\"([a-z_]+)\"| \"(bad_\w+)\" if| else \"(bad_\w+)\""
    )
    modules = [
        *(ROOT / "feature_store").glob("*event*.py"),
        *(ROOT / "feature_store").glob("personal_data.py"),
        *(ROOT / "feature_store" / "dialects").glob("*.py"),
        *(ROOT / "feature_store" / "loaders").glob("*.py"),
    ]
    codes = set()
    for module in modules:
        text = module.read_text(encoding="utf-8")
        codes |= set(call.findall(text)) | set(fault.findall(text))
        codes |= {name for found in reasons.findall(text) for name in found if name}
    assert {"bad_id", "sheet_overlap", "not_a_product", "bad_quoting", "too_many_fields"} <= codes
    assert codes - described == set()
