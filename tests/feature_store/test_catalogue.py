from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from feature_store.catalogue import (
    CATALOGUE_SCHEMA,
    catalogue_digest,
    derive_catalogue,
    read_catalogue,
)
from feature_store.catalogue_file import install_catalogue
from feature_store.layout import StoreLayout
from recommender.errors import DataError, RefusedError
from tests.tabling import DAY, HOUR, START, bring_in, row


@pytest.fixture
def layout(tmp_path) -> StoreLayout:
    """Items a (changed on the second day) and b, and an event without an item."""
    layout = StoreLayout(tmp_path)
    rows = [
        row("1", START, item_id="a", title="old", category="x/y", brand="m", price=2.0),
        row("2", START + DAY, item_id="a", title="new", price=3.0),
        row("3", START + DAY + HOUR, item_id="a", price=0.0),
        row("4", START + HOUR, item_id="b"),
        row("5", START + HOUR, item_id=None, event_type="search"),
    ]
    bring_in(layout, rows)
    return layout


def items(layout: StoreLayout) -> dict[str, dict[str, object]]:
    return {item["item_id"]: item for item in read_catalogue(layout).to_dicts()}


def install(layout: StoreLayout, *rows: dict[str, object], name: str = "items.jsonl"):
    path = layout.root / name
    path.write_text("".join(json.dumps(line) + "\n" for line in rows))
    return install_catalogue(path, layout)


def test_the_latest_fact_that_is_not_null_holds(layout):
    found = read_catalogue(layout)
    assert dict(found.schema) == dict(CATALOGUE_SCHEMA)
    a, b = found.to_dicts()
    assert (a["title"], a["category"], a["brand"], a["price"]) == ("new", "x/y", "m", 3.0)
    assert (b["title"], b["price"], b["available"]) == (None, None, True)
    assert [int(a[seen].timestamp()) * 10**6 for seen in ("first_seen", "last_seen")] == [
        START,
        START + DAY + HOUR,
    ]


def test_passes_over_days_give_the_same_catalogue(layout, monkeypatch):
    whole = derive_catalogue(layout)
    monkeypatch.setattr("feature_store.catalogue.ROWS_PER_PASS", 1)
    assert derive_catalogue(layout).equals(whole)


def test_the_kept_catalogue_is_that_of_the_rows(layout):
    (kept,) = (layout.tables / "catalogue").glob("derived-*.parquet")
    assert pl.read_parquet(kept).equals(derive_catalogue(layout))
    bring_in(layout, [row("9", START + 2 * DAY, item_id="c", title="third")])
    assert items(layout)["c"]["title"] == "third"
    assert len(list((layout.tables / "catalogue").glob("derived-*.parquet"))) == 1
    kept.unlink(missing_ok=True)
    for file in (layout.tables / "catalogue").glob("derived-*.parquet"):
        file.unlink()
    assert items(layout)["c"]["title"] == "third"


def test_the_shop_overrides_and_adds(layout):
    report = install(
        layout,
        {"item_id": "a", "title": "said", "price": "9.5"},
        {"item_id": "b", "available": False},
        {"item_id": "c", "category": "z", "hidden": True, "colour": "red"},
    )
    found = items(layout)
    assert (found["a"]["title"], found["a"]["brand"], found["a"]["price"]) == ("said", "m", 9.5)
    assert [found[item]["available"] for item in "abc"] == [True, False, False]
    assert found["c"]["category"] == "z"
    assert found["c"]["first_seen"] is None
    assert (report.rows_in, report.kept, report.unavailable, report.unseen) == (3, 3, 2, 1)
    assert report.ignored_columns == ("colour",)


def test_a_new_file_replaces_the_old_one(layout):
    install(layout, {"item_id": "a", "available": False})
    install(layout, {"item_id": "b", "available": "no"})
    assert {item: facts["available"] for item, facts in items(layout).items()} == {
        "a": True,
        "b": False,
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"item_id": ""}, "missing_item_id"),
        ({"item_id": None}, "missing_item_id"),
        ({"item_id": "x" * 257}, "id_too_long"),
        ({"price": "-1"}, "invalid_price"),
        ({"price": "cheap"}, "invalid_price"),
        ({"price": "nan"}, "invalid_price"),
        ({"available": "perhaps"}, "invalid_available"),
        ({"hidden": "perhaps"}, "invalid_hidden"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(layout, fields, reason):
    report = install(layout, {"item_id": "b", "price": "1", **fields}, {"item_id": "a"})
    assert report.rejected == {reason: 1}
    assert report.rows_in == report.kept + 1 == 2
    entry = json.loads(Path(report.quarantine).read_text())
    assert entry["code"] == reason


def test_of_an_item_given_twice_the_last_row_holds(layout):
    report = install(layout, {"item_id": "a", "price": "1"}, {"item_id": "a", "price": "2"})
    assert report.rejected == {"repeated_item": 1}
    assert items(layout)["a"]["price"] == 2.0


@pytest.mark.parametrize("name", ["items.csv", "items.jsonl", "items.ndjson", "items.parquet"])
def test_every_file_format_says_the_same(layout, name):
    frame = pl.DataFrame(
        {
            "item_id": ["a", "7"],
            "price": [1.5, None],
            "available": [False, True],
            "title": ["", "t"],
        }
    )
    path = layout.root / name
    write = {".csv": frame.write_csv, ".parquet": frame.write_parquet}
    write.get(path.suffix, frame.write_ndjson)(path)
    assert install_catalogue(path, layout).kept == 2
    found = items(layout)
    assert (found["a"]["price"], found["a"]["available"]) == (1.5, False)
    assert found["a"]["title"] == "new"
    assert (found["7"]["title"], found["7"]["available"]) == ("t", True)


def test_files_that_are_no_catalogue_are_refused(layout):
    with pytest.raises(DataError, match="no column item_id; found sku"):
        install(layout, {"sku": "a"})
    text = layout.root / "items.txt"
    text.write_text("item_id\na\n")
    with pytest.raises(DataError, match=r"a catalogue is one of \.csv"):
        install_catalogue(text, layout)
    broken = layout.root / "items.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"not readable as \.parquet"):
        install_catalogue(broken, layout)
    with pytest.raises(DataError, match="not readable"):
        install_catalogue(layout.root / "absent.csv", layout)


@pytest.mark.parametrize("text", ["item_id,price\na,cheap\n,1\n", "item_id\n"])
def test_a_file_without_one_good_row_leaves_the_catalogue_before(layout, text):
    install(layout, {"item_id": "b", "available": "no"})
    broken = layout.root / "items.csv"
    broken.write_text(text)
    with pytest.raises(RefusedError, match="the catalogue before stays"):
        install_catalogue(broken, layout)
    assert items(layout)["b"]["available"] is False


def test_the_digest_follows_the_catalogue(layout):
    before = catalogue_digest(layout)
    assert catalogue_digest(layout) == before
    install(layout, {"item_id": "a", "available": False})
    assert catalogue_digest(layout) != before


def test_an_empty_store_has_an_empty_catalogue(tmp_path):
    found = read_catalogue(StoreLayout(tmp_path))
    assert found.is_empty()
    assert dict(found.schema) == dict(CATALOGUE_SCHEMA)
