"""JSON lines: our own shape and the exports of GA4 and Segment."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.dialects import normalise
from feature_store.loaders import json_rows
from feature_store.loaders.columns import SCHEMA
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.registry import FORMATS
from recommender.errors import DataError

NOW = 1_795_255_200_000_000
VIEW = {"event_type": "view_item", "visitor_id": "v", "ts": NOW, "items": [{"item_id": "x"}]}
PURCHASE = {
    "event_id": "p1",
    "event_type": "purchase",
    "visitor_id": "v",
    "user_id": "u",
    "session_id": "s",
    "ts": "2026-11-21T10:00:00Z",
    "transaction_id": "T",
    "currency": "EUR",
    "value": 7.5,
    "device": "mobile",
    "placement": "cart",
    "recommendation_id": "r0",
    "items": [
        {
            "item_id": "a",
            "item_name": "A",
            "item_brand": "B",
            "item_category": "c",
            "item_category2": "d",
            "price": 2.5,
            "quantity": 3,
            "item_list_id": "home",
            "recommendation_id": "r1",
        },
        {"item_id": "b"},
    ],
}


def _load(path: Path, name: str = "desirepath-jsonl", batch_rows: int = 1000) -> pl.DataFrame:
    frames = list(FORMATS[name].batches(path, LoadOptions(batch_rows=batch_rows)))
    assert all(0 < frame.height <= batch_rows for frame in frames)
    assert all(dict(frame.schema) == SCHEMA for frame in frames)
    return pl.concat(frames)


def _write(tmp_path: Path, *lines: object) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines),
        encoding="utf-8",
    )
    return path


def test_an_event_is_a_row_per_item(tmp_path: Path) -> None:
    moment = datetime(2026, 11, 21, 10, tzinfo=UTC)
    shared = {
        "event_id": "p1",
        "event_type": "purchase",
        "ts": moment,
        "available_at": moment,
        "visitor_id": "v",
        "user_id": "u",
        "session_id": "s",
        "value": 7.5,
        "currency": "EUR",
        "transaction_id": "T",
        "search_term": None,
        "device": "mobile",
        "reject_reason": None,
        "raw": None,
    }
    first = {
        "item_position": 0,
        "item_id": "a",
        "price": 2.5,
        "quantity": 3.0,
        "category": "c/d",
        "brand": "B",
        "title": "A",
        "placement": "home",
        "recommendation_id": "r1",
    }
    second = {**dict.fromkeys(first), "item_position": 1, "item_id": "b"}
    second |= {"placement": "cart", "recommendation_id": "r0"}
    assert _load(_write(tmp_path, PURCHASE)).to_dicts() == [
        {name: {**shared, **item}[name] for name in SCHEMA} for item in (first, second)
    ]


def test_an_event_without_items_is_one_row(tmp_path: Path) -> None:
    search = {"event_type": "search", "visitor_id": "v", "ts": NOW, "search_term": "rake"}
    (row,) = _load(_write(tmp_path, search)).to_dicts()
    assert (row["item_id"], row["item_position"], row["search_term"]) == (None, 0, "rake")


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 1000])
def test_repeated_events_without_an_id_are_kept_apart(tmp_path: Path, batch_rows: int) -> None:
    two = {**VIEW, "event_type": "view_cart", "items": [{"item_id": "x"}, {"item_id": "y"}]}
    path = _write(tmp_path, VIEW, two, VIEW, PURCHASE, two, VIEW)
    frame = _load(path, batch_rows=batch_rows)
    view, cart = normalise(VIEW, 0).event_id, normalise(two, 0).event_id
    assert frame.select("event_id", "item_position").rows() == [
        (view, 0),
        (cart, 0),
        (cart, 1),
        (f"{view}-1", 0),
        ("p1", 0),
        ("p1", 1),
        (f"{cart}-1", 0),
        (f"{cart}-1", 1),
        (f"{view}-2", 0),
    ]
    assert _load(path).equals(frame)


def test_events_written_by_the_service_come_back(tmp_path: Path) -> None:
    event = normalise(PURCHASE, 0)
    path = _write(tmp_path, msgspec.json.encode(event).decode())
    assert _load(path).equals(_load(_write(tmp_path, PURCHASE)))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "bad_json"),
        ("[" * 5000, "bad_json"),
        ('{"a": 1e999}', "bad_json"),
        ('{"a": NaN}', "bad_json"),
        ("[1]", "bad_event"),
        ("null", "bad_event"),
        ({**VIEW, "event_type": "page_view"}, "unknown_event"),
        ({**VIEW, "ts": None, "event_id": "e"}, "missing_field"),
        ({**VIEW, "ts": None}, "missing_field"),
        ({**VIEW, "ts": 0}, "bad_ts"),
        ({**VIEW, "colour": 1}, "unknown_field"),
        ({**VIEW, "items": []}, "missing_items"),
        ({"type": "track", "event": "Product Viewed", "anonymousId": "a"}, "missing_field"),
    ],
)
def test_a_broken_line_is_a_rejected_row(tmp_path: Path, line: object, reason: str) -> None:
    frame = _load(_write(tmp_path, VIEW, line, "", "  ", VIEW))
    assert frame["reject_reason"].to_list() == [None, reason, None]
    raw = frame["raw"].to_list()
    assert raw[1] == (line if isinstance(line, str) else json.dumps(line))
    assert raw[0] is None


def test_lines_that_are_not_text_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a":1}\n{"event_type": "\xff"}\n\xff\xfe{\x00\n')
    frame = _load(path)
    assert frame["reject_reason"].to_list() == ["unknown_field", "bad_utf8", "bad_json"]
    assert "\\xff" in frame["raw"][1]


def test_a_line_may_not_be_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "MAX_LINE_BYTES", 200)
    frame = _load(_write(tmp_path, VIEW, '"' + "x" * 5000, VIEW, '"' + "y" * 200))
    assert frame["reject_reason"].to_list() == [None, "line_too_long", None, "line_too_long"]
    assert all(len(raw) <= 201 for raw in frame["raw"].drop_nulls())


@pytest.mark.parametrize(
    "line",
    [
        {**VIEW, "user_id": "secret@shop.de"},
        {**VIEW, "phone": "+49 30 secret"},
        {**VIEW, "event_type": "page_view", "params": {"url": "?m=secret%40shop.de"}},
    ],
)
def test_personal_data_are_not_put_into_quarantine(tmp_path: Path, line: dict) -> None:
    (row,) = _load(_write(tmp_path, line)).to_dicts()
    assert row["reject_reason"] in {"personal_data", "unknown_event"}
    assert json.loads(row["raw"]) == {"line": 1, "withheld": "personal data"}


def test_packed_files_and_folders(tmp_path: Path) -> None:
    line = json.dumps(VIEW).encode()
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(line + b"\n" + line))
    (tmp_path / "1.ndjson").write_bytes(line)
    view = normalise(VIEW, 0).event_id
    assert _load(tmp_path)["event_id"].to_list() == [view, f"{view}-1", f"{view}-2"]
    (tmp_path / "2.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot be read"):
        _load(tmp_path)


def test_a_ga4_export(tmp_path: Path) -> None:
    rows = [
        {
            "event_name": name,
            "event_timestamp": str(NOW + index),
            "user_pseudo_id": "1.2",
            "event_params": [{"key": "ga_session_id", "value": {"int_value": "9"}}],
            "items": [{"item_id": "x", "price": 2.0, "item_category": "a"}],
        }
        for index, name in enumerate(["session_start", "view_item", "add_to_cart", "page_view"])
    ]
    frame = _load(_write(tmp_path, *rows, {**VIEW, "event_id": "own"}), "ga4-jsonl")
    assert frame["event_type"].to_list() == [None, "view_item", "add_to_cart", None, None]
    assert frame["reject_reason"].to_list() == [
        "unknown_event",
        None,
        None,
        "unknown_event",
        "unknown_event",
    ]
    good = frame.filter(pl.col("reject_reason").is_null())
    assert (
        good.select("visitor_id", "session_id", "item_id", "price", "category").rows()
        == [("1.2", "9", "x", 2.0, "a")] * 2
    )


def test_a_segment_archive(tmp_path: Path) -> None:
    call = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": "m1",
        "anonymousId": "a",
        "timestamp": "2026-11-21T10:00:00Z",
        "properties": {"product_id": "x", "price": 3},
    }
    identify = {**call, "type": "identify", "messageId": "m2", "userId": "u"}
    frame = _load(_write(tmp_path, call, {**call, "type": "page"}, identify), "segment-jsonl")
    assert frame["event_type"].to_list() == ["view_item", None, "identify"]
    assert frame["event_id"].to_list() == ["m1", None, "m2"]
    assert frame["user_id"].to_list() == [None, None, "u"]


@given(lines=st.lists(st.binary(max_size=60) | st.just(json.dumps(VIEW).encode()), max_size=8))
def test_arbitrary_lines_never_stop_a_file(tmp_path_factory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "events.jsonl"
    path.write_bytes(b"\n".join([*lines, json.dumps(PURCHASE).encode()]))
    frame = _load(path)
    assert frame["event_id"].to_list()[-2:] == ["p1", "p1"]
    assert (frame["reject_reason"].is_null() == frame["raw"].is_null()).all()
