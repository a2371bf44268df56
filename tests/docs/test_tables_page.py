from __future__ import annotations

import re
from dataclasses import fields

from feature_store.check_limits import CheckLimits
from feature_store.tables import STORED_SCHEMA
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.csv").write_text(
        "event_type,ts,visitor_id,item_id\n"
        "view_item,2026-03-01T10:00:00Z,v,i\n"
        "purchase,2026-03-01T10:01:00Z,v,i\n"
    )
    names: dict[str, object] = {}
    for block in BLOCK.findall(PAGE):
        exec(compile(block, "docs/tables.md", "exec"), names)  # noqa: S102 - our own page
    assert capsys.readouterr().out.startswith("2 2 0 {}")
    assert len(names["files"]) == 1
    assert names["by_type"].height == 2


def test_the_page_names_every_column_and_every_gate(tmp_path):
    from feature_store.check_gates import GATES

    gates = {gate.__name__.removeprefix("check_") for gate in GATES} | {"schema", "freshness"}
    for name in (*STORED_SCHEMA, *gates):
        assert f"`{name}`" in PAGE, name


def test_the_limits_on_the_page_are_the_defaults():
    limits = {field.name: field.default for field in fields(CheckLimits)}
    for gate, limit in {
        "freshness": f"{limits['max_age_hours']:g} h",
        "ranges": f"{limits['max_out_of_range_share']:.1%}".replace("%", " %"),
        "referential": f"{limits['max_unknown_item_share']:.0%}".replace("%", " %"),
        "volume": f"±{limits['max_volume_change']:.0%}".replace("%", " %"),
        "nulls": f"{limits['max_null_share_rise'] * 100:g} points",
        "missing_items": f"{limits['max_missing_item_share']:.0%}".replace("%", " %"),
        "duplicates": f"{limits['max_duplicate_share']:.0%}".replace("%", " %"),
        "top_item": f"{limits['max_top_item_share']:.0%}".replace("%", " %"),
        "new_items": f"{limits['max_new_item_share']:.0%}".replace("%", " %"),
        "new_visitors": f"{limits['max_new_visitor_share']:.0%}".replace("%", " %"),
    }.items():
        assert re.search(rf"\| `{gate}` \|.*\| {re.escape(limit)} \|", PAGE), gate
