"""RetailRocket and REES46: small files of the published columns, and the published samples."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from feature_store.loaders.columns import SCHEMA
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.registry import FORMATS
from recommender.errors import DataError

ROCKET = "timestamp,visitorid,event,itemid,transactionid\n"
REES = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
)


def _load(name: str, path: Path, batch_rows: int = 200_000) -> pl.DataFrame:
    frames = list(FORMATS[name].batches(path, LoadOptions(batch_rows=batch_rows)))
    assert all(dict(frame.schema) == SCHEMA for frame in frames)
    return pl.concat(frames)


def _text(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "events.csv"
    path.write_text(text, encoding="utf-8")
    return path


def _known(frame: pl.DataFrame) -> list[dict]:
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in frame.drop("event_id", "available_at").to_dicts()
    ]


def test_retailrocket_rows(tmp_path: Path) -> None:
    path = _text(
        tmp_path,
        ROCKET
        + "1430636062541,285933,view,298009,\n"
        + "1430636082303,285933,addtocart,180751,\n"
        + "1430664054982,212279,transaction,359482,77\n",
    )
    frame = _load("retailrocket", path)
    moment = datetime(2015, 5, 3, 6, 54, 22, 541_000, tzinfo=UTC)
    first, second, third = _known(frame)
    assert first == {
        "item_position": 0,
        "event_type": "view_item",
        "ts": moment,
        "visitor_id": "285933",
        "item_id": "298009",
    }
    assert second["event_type"] == "add_to_cart"
    assert (third["event_type"], third["transaction_id"]) == ("purchase", "77")
    assert frame["available_at"].equals(frame["ts"])


def test_retailrocket_rejects(tmp_path: Path) -> None:
    path = _text(
        tmp_path,
        ROCKET
        + "1430636062541,1,view,2,\n"
        + "soon,1,view,2,\n"
        + "1430636062,1,view,2,\n"
        + "99999999999999999999,1,view,2,\n"
        + "1430636062541,,view,2,\n"
        + "1430636062541,1,click,2,\n"
        + "1430636062541,1,view,,\n"
        + "1430636062541,1,view,2,,9\n"
        + '1430636062541,1,"view,2,\n'
        + "1430636062541,1,view,2,\n",
    )
    assert _load("retailrocket", path)["reject_reason"].to_list() == [
        None,
        "bad_ts",
        "bad_ts",
        "bad_ts",
        "missing_visitor",
        "unknown_event",
        "missing_items",
        "too_many_fields",
        "bad_quoting",
        None,
    ]


def test_rees46_rows(tmp_path: Path) -> None:
    path = _text(
        tmp_path,
        REES
        + "2019-10-01 00:00:00 UTC,view,44600062,21038,,shiseido,35.79,5413,72d7\n"
        + "2019-10-01 00:00:01 UTC,cart,3900821,20530,a.b.c,,33.20,5547,\n"
        + "2019-10-01 00:00:02 UTC,remove_from_cart,3900821,20530,a,,0.00,5547,93\n"
        + "2019-10-01 00:00:03 UTC,purchase,3900821,,,,,5547,93\n",
    )
    first, *others = _known(_load("rees46", path))
    assert first == {
        "item_position": 0,
        "event_type": "view_item",
        "ts": datetime(2019, 10, 1, tzinfo=UTC),
        "visitor_id": "5413",
        "session_id": "72d7",
        "item_id": "44600062",
        "price": 35.79,
        "category": "21038",
        "brand": "shiseido",
    }
    assert [row["event_type"] for row in others] == ["add_to_cart", "remove_from_cart", "purchase"]
    assert [row.get("category") for row in others] == ["a/b/c", "a", None]
    assert [row.get("price") for row in others] == [33.2, 0.0, None]
    assert [row.get("session_id") for row in others] == [None, "93", "93"]


def test_rees46_rejects(tmp_path: Path) -> None:
    good = "2019-10-01 00:00:00 UTC,view,1,2,,b,3,5,s"
    broken = {
        "2019-10-01,view,1,2,,b,3,5,s": "bad_ts",
        "2019-10-01 00:00:00 UTC,look,1,2,,b,3,5,s": "unknown_event",
        "2019-10-01 00:00:00 UTC,view,,2,,b,3,5,s": "missing_items",
        "2019-10-01 00:00:00 UTC,view,1,2,,b,3,,s": "missing_visitor",
        "2019-10-01 00:00:00 UTC,view,1,2,,b,x,5,s": "bad_number",
        "2019-10-01 00:00:00 UTC,view,1,2,,b,nan,5,s": "bad_number",
        "2019-10-01 00:00:00 UTC,view,1,2,,b,-1,5,s": "bad_number",
        "2019-10-01 00:00:00 UTC": "unknown_event",
    }
    frame = _load("rees46", _text(tmp_path, REES + "\n".join([good, *broken, good])))
    assert frame["reject_reason"].to_list() == [None, *broken.values(), None]
    assert frame["raw"].null_count() == 2


@pytest.mark.parametrize("name", ["retailrocket", "rees46"])
def test_another_header_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="has no column"):
        _load(name, _text(tmp_path, "a,b\n1,2\n"))


def test_repeated_rows_are_kept_with_ids_of_their_own(tmp_path: Path) -> None:
    row = "1430636062541,1,view,2,\n"
    path = _text(tmp_path, ROCKET + row * 3 + "1430636062541,1,view,3,\n" + row)
    whole = _load("retailrocket", path)
    assert whole["event_id"].n_unique() == 5
    assert [name[32:] for name in whole["event_id"]] == ["", "-1", "-2", "", "-3"]
    assert _load("retailrocket", path, batch_rows=2).equals(whole)


@pytest.mark.shared
def test_the_retailrocket_sample(shared_path: Path) -> None:
    frame = _load("retailrocket", shared_path / "data/retailrocket_sample/events.csv")
    assert dict(frame["event_type"].value_counts().rows()) == {
        "view_item": 4732,
        "add_to_cart": 377,
        "purchase": 60,
    }
    assert frame["reject_reason"].null_count() == frame.height == 5169
    assert frame["visitor_id"].n_unique() == 1092
    assert frame["item_id"].n_unique() == 2960
    assert frame["event_id"].n_unique() == 5169
    assert (str(frame["ts"].min())[:10], str(frame["ts"].max())[:10]) == (
        "2015-05-03",
        "2015-09-18",
    )


@pytest.mark.shared
def test_the_rees46_sample(shared_path: Path) -> None:
    path = shared_path / "data/rees46_sample/events.csv"
    frame = _load("rees46", path)
    assert dict(frame["event_type"].value_counts().rows()) == {
        "view_item": 17_056,
        "add_to_cart": 165,
        "purchase": 214,
    }
    assert frame["reject_reason"].null_count() == frame.height == 17_435
    assert frame["visitor_id"].n_unique() == 4505
    assert frame["item_id"].n_unique() == 6493
    assert frame["session_id"].n_unique() == 5067
    assert frame["event_id"].n_unique() == 17_435
    assert _load("rees46", path, batch_rows=1000).equals(frame)
