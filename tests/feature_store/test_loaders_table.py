"""Flat interactions as CSV and Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from feature_store.event_rules import build_event
from feature_store.loaders.columns import SCHEMA
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.registry import FORMATS
from feature_store.loaders.table import COLUMNS
from recommender import terms
from recommender.errors import DataError, InvalidEventError

MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)


def _load(path: Path, options: LoadOptions | None = None) -> pl.DataFrame:
    name = "desirepath-parquet" if path.suffix == ".parquet" or path.is_dir() else "desirepath-csv"
    frames = list(FORMATS[name].batches(path, options or LoadOptions()))
    assert all(dict(frame.schema) == SCHEMA for frame in frames)
    return pl.concat(frames)


def _csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "interactions.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _rows(tmp_path: Path, header: str, *rows: str) -> pl.DataFrame:
    return _load(_csv(tmp_path, "\n".join([header, *rows, ""])))


def test_three_columns_are_enough(tmp_path: Path) -> None:
    (row,) = _rows(tmp_path, "event_type,ts,visitor_id", "view_cart,1795255200,v").to_dicts()
    given = {"event_type": "view_cart", "ts": MOMENT, "available_at": MOMENT, "visitor_id": "v"}
    given |= {"item_position": 0, "event_id": row["event_id"]}
    assert row == {**dict.fromkeys(SCHEMA), **given}
    assert len(row["event_id"]) == 32


def test_every_column_is_kept_from_both_kinds_of_file(tmp_path: Path) -> None:
    full = pl.DataFrame(
        {
            "event_id": "e1",
            "item_position": 4,
            "event_type": "purchase",
            "ts": MOMENT,
            "visitor_id": "v",
            "user_id": "u",
            "session_id": "s",
            "item_id": " x ",
            "price": 2.5,
            "quantity": 3.0,
            "value": 7.5,
            "currency": "eur",
            "transaction_id": "T",
            "category": "a/b",
            "brand": "B",
            "title": 'A "title"\nof two lines',
            "search_term": "rake",
            "placement": "home",
            "recommendation_id": "r",
            "device": "mobile",
        }
    )
    assert set(full.columns) == set(COLUMNS)
    full.write_csv(tmp_path / "a.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    full.write_parquet(tmp_path / "a.parquet")
    (expected,) = full.with_columns(pl.col("currency").str.to_uppercase()).to_dicts()
    for name in ("a.csv", "a.parquet"):
        (row,) = _load(tmp_path / name).to_dicts()
        assert {key: row[key] for key in COLUMNS} == expected
        assert row["reject_reason"] is None


def test_csv_and_parquet_give_the_same_ids(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"event_type": ["view_item"] * 3, "ts": [1795255200] * 3, "visitor_id": ["v"] * 3}
        | {"item_id": ["x", "x", "y"], "price": [2.5, 2.5, None]}
    )
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    one, two = _load(tmp_path / "a.csv"), _load(tmp_path / "a.parquet")
    assert one.equals(two)
    first, second, third = one["event_id"]
    assert second == f"{first}-1"
    assert third[:32] != first


@pytest.mark.parametrize(
    ("sent", "zone", "expected"),
    [
        ("1795255200", "UTC", MOMENT),
        ("1795255200.25", "UTC", MOMENT.replace(microsecond=250_000)),
        ("1795255200123", "UTC", MOMENT.replace(microsecond=123_000)),
        ("1795255200123456", "UTC", MOMENT.replace(microsecond=123_456)),
        ("2026-11-21T10:00:00Z", "Europe/Berlin", MOMENT),
        ("2026-11-21 10:00:00 UTC", "UTC", MOMENT),
        ("2026-11-21T11:00:00.5+01:00", "UTC", MOMENT.replace(microsecond=500_000)),
        ("2026-11-21 10:00:00", "UTC", MOMENT),
        ("2026-11-21 11:00:00", "Europe/Berlin", MOMENT),
        ("2026-10-25T02:30:00", "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
)
def test_times(tmp_path: Path, sent: str, zone: str, expected: datetime) -> None:
    path = _csv(tmp_path, f"event_type,ts,visitor_id\nview_cart,{sent},v\n")
    assert _load(path, LoadOptions(time_zone=zone))["ts"].to_list() == [expected]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([MOMENT], dtype=pl.Datetime("ns", "UTC")),
        pl.Series([MOMENT], dtype=pl.Datetime("ms", "UTC")).dt.convert_time_zone("Asia/Tokyo"),
        pl.Series([MOMENT.replace(tzinfo=None)], dtype=pl.Datetime("ms")),
        pl.Series([1_795_255_200], dtype=pl.Int64),
        pl.Series([1_795_255_200_000], dtype=pl.UInt64),
        pl.Series([1_795_255_200.0], dtype=pl.Float64),
        pl.Series(["2026-11-21T10:00:00Z"]),
        pl.Series(["2026-11-21T10:00:00Z"], dtype=pl.Categorical),
    ],
    ids=lambda column: str(column.dtype),
)
def test_times_of_any_column_type(tmp_path: Path, column: pl.Series) -> None:
    frame = pl.DataFrame({"event_type": ["view_cart"], "visitor_id": ["v"], "ts": column})
    frame.write_parquet(tmp_path / "a.parquet")
    assert _load(tmp_path / "a.parquet")["ts"].to_list() == [MOMENT]


HEADER = "event_type,ts,visitor_id,user_id,item_id,price,quantity,currency,search_term"
GOOD = {
    "event_type": "view_item",
    "ts": "1795255200",
    "visitor_id": "v",
    "user_id": "",
    "item_id": "x",
    "price": "1.5",
    "quantity": "1",
    "currency": "EUR",
    "search_term": "",
}
REJECTS = [
    ({"event_type": "page_view"}, "unknown_event"),
    ({"event_type": ""}, "unknown_event"),
    ({"ts": "yesterday"}, "bad_ts"),
    ({"ts": ""}, "bad_ts"),
    ({"ts": "0"}, "bad_ts"),
    ({"ts": "-1795255200"}, "bad_ts"),
    ({"ts": "1795255200123456789"}, "bad_ts"),
    ({"ts": "2026-11-21"}, "bad_ts"),
    ({"ts": "9999-01-01T00:00:00Z"}, "bad_ts"),
    ({"visitor_id": ""}, "missing_visitor"),
    ({"visitor_id": "é" * 129}, "bad_id"),
    ({"item_id": ""}, "missing_items"),
    ({"price": "nan"}, "bad_number"),
    ({"price": "1e999"}, "bad_number"),
    ({"price": "-1"}, "bad_number"),
    ({"price": "1.5 "}, "bad_number"),
    ({"quantity": "0"}, "bad_number"),
    ({"quantity": "inf"}, "bad_number"),
    ({"currency": "EURO"}, "bad_currency"),
    ({"user_id": "a@b.de"}, "personal_data"),
    ({"search_term": "a%40b.de"}, "personal_data"),
    ({"search_term": "é" * 513}, "bad_text"),
    ({"event_type": "identify"}, "missing_field"),
    ({"event_type": "search", "item_id": ""}, "missing_field"),
    ({"event_type": "refund", "item_id": ""}, "missing_field"),
]


@pytest.mark.parametrize(("change", "reason"), REJECTS)
def test_rejected_rows(tmp_path: Path, change: dict, reason: str) -> None:
    lines = [",".join({**GOOD, **cells}.values()) for cells in ({}, change, {})]
    frame = _rows(tmp_path, HEADER, *lines)
    assert frame["reject_reason"].to_list() == [None, reason, None]
    assert frame["event_id"].n_unique() == 3


@pytest.mark.parametrize(("change", "reason"), REJECTS)
def test_single_events_are_refused_alike(change: dict, reason: str) -> None:
    cells = {name: value for name, value in {**GOOD, **change}.items() if value != ""}
    items = [{"item_id": cells.pop("item_id")}] if "item_id" in cells else []
    for name, parse in (("price", float), ("quantity", float)):
        text = cells.pop(name, None)
        if items and text is not None:
            items[0][name] = parse(text) if text.strip() == text else text
    with pytest.raises(InvalidEventError) as refusal:
        build_event({**cells, "items": items}, 0)
    if reason in {"bad_id", "bad_number", "bad_currency", "bad_text", "missing_items"}:
        assert refusal.value.code == reason


def test_a_rejected_row_is_shown_as_it_was(tmp_path: Path) -> None:
    frame = _rows(tmp_path, "event_type,ts,visitor_id", "view_cart,soon,v", "view_cart,1")
    assert frame["raw"].to_list() == [
        '{"event_type":"view_cart","ts":"soon","visitor_id":"v"}',
        '{"event_type":"view_cart","ts":"1","visitor_id":null}',
    ]


def test_personal_data_are_not_put_into_quarantine(tmp_path: Path) -> None:
    frame = _rows(tmp_path, "event_type,ts,visitor_id", "view_cart,1795255200,a@b.de")
    assert frame["raw"].to_list() == ['{"withheld":"personal data"}']


def test_names_of_other_dialects_are_taken(tmp_path: Path) -> None:
    frame = _rows(
        tmp_path,
        "event_type,ts,visitor_id,item_id",
        "Product Added,1795255200,v,x",
        "DetailView,1795255200,v,x",
    )
    assert frame["event_type"].to_list() == ["add_to_cart", "view_item"]


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_items_of_one_event_are_counted_over_batches(tmp_path: Path, batch_rows: int) -> None:
    rows = [
        "p1,purchase,1795255200,v,a",
        "p2,purchase,1795255200,w,a",
        "p1,purchase,1795255200,v,b",
    ]
    path = _csv(tmp_path, "\n".join(["event_id,event_type,ts,visitor_id,item_id", *rows]))
    frame = _load(path, LoadOptions(batch_rows=batch_rows))
    assert frame.select("event_id", "item_position").rows() == [("p1", 0), ("p2", 0), ("p1", 1)]


def test_columns_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column item is not known; accepted: event_id"):
        _rows(tmp_path, "event_type,ts,visitor_id,item", "view_item,1795255200,v,x")
    with pytest.raises(DataError, match="has no column ts"):
        _rows(tmp_path, "event_type,visitor_id", "view_item,v")
    frame = pl.DataFrame({"event_type": ["a"], "ts": [[1]], "visitor_id": ["v"]})
    frame.write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column ts is List"):
        _load(tmp_path / "a.parquet")


def test_a_table_that_was_read_can_be_written_and_loaded(tmp_path: Path) -> None:
    frame = _rows(tmp_path, HEADER, ",".join(GOOD.values()))
    derived = frame.drop("reject_reason", "raw").with_columns(
        pl.col(terms.VISITOR_ID).alias(terms.SHOPPER_ID),
        pl.col(terms.TS).dt.date().alias("event_date"),
    )
    (tmp_path / "day").mkdir()
    derived.write_parquet(tmp_path / "day" / "a.parquet")
    assert _load(tmp_path / "day").equals(frame)


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        _load(path)
