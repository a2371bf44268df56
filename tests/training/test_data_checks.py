from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from recommender.errors import DataError, RefusedError
from tests.training.tiny_log import BEGIN, visits, write_log
from training.data_checks import check_data, check_metrics, check_rows, refuse_tripped


@pytest.fixture
def bad_store(tmp_path: Path) -> StoreLayout:
    """Ten busy days; on the last whole one somebody looked at one item only."""
    usual = visits(visitors=300, days=10)
    bad_day = BEGIN + timedelta(days=8)
    is_bad = pl.col("ts").is_between(bad_day, bad_day + timedelta(days=1), closed="left")
    frame = usual.with_columns(
        item_id=pl.when(is_bad).then(pl.lit("item-00")).otherwise(pl.col("item_id"))
    )
    frame = frame.filter(pl.col("ts") < bad_day + timedelta(days=1, minutes=30))
    layout = StoreLayout(tmp_path / "store")
    ingest(write_log(tmp_path / "bad.parquet", frame), "desirepath-parquet", layout)
    return layout


def test_a_bad_day_is_found_and_refused(bad_store: StoreLayout) -> None:
    report = check_data(bad_store, None)
    assert "top_item" in {gate.name for gate in report.tripped}
    with pytest.raises(RefusedError, match="top_item is 1"):
        refuse_tripped(report)
    assert check_metrics(report)["checks_tripped"] >= 1
    verdicts = {row["check"]: row["verdict"] for row in check_rows(report)}
    assert (verdicts["top_item"], verdicts["schema"]) == ("TRIPPED", "passed")


def test_the_days_before_are_judged_as_they_were_known(bad_store: StoreLayout) -> None:
    day_seven = round((BEGIN + timedelta(days=7)).timestamp() * 1e6)
    report = check_data(bad_store, day_seven)
    assert report.day == (BEGIN + timedelta(days=6)).date().isoformat()
    refuse_tripped(report)


def test_an_old_log_is_not_stale(tiny_store: StoreLayout) -> None:
    refuse_tripped(check_data(tiny_store, None))


def test_an_empty_store_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ingest a log first"):
        check_data(StoreLayout(tmp_path), None)
