from __future__ import annotations

from datetime import date

import msgspec
import polars as pl
import pytest

from feature_store.layout import StoreLayout
from feature_store.loaders import columns
from feature_store.tables import (
    COLUMNS,
    SCHEMA,
    STORED_SCHEMA,
    data_digest,
    day_folder,
    list_days,
    read_interactions,
    read_manifest,
    read_manifests,
    read_table_info,
    scan_stored,
)
from recommender.errors import DataError
from tests.tabling import DAY, START, bring_in, row


@pytest.fixture
def layout(tmp_path) -> StoreLayout:
    """Three days: 1, 2 and 4 March 2026."""
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row(f"e{day}", START + day * DAY) for day in (0, 1, 3)])
    return layout


def test_loaders_and_table_agree_on_columns():
    shared = {
        name: dtype
        for name, dtype in columns.SCHEMA.items()
        if name not in (columns.REJECT_REASON, columns.RAW)
    }
    assert dict(SCHEMA) == shared
    assert tuple(shared) == COLUMNS


def test_an_empty_store_reads_as_no_rows(tmp_path):
    layout = StoreLayout(tmp_path / "nothing")
    rows = read_interactions(layout).collect()
    assert rows.is_empty()
    assert dict(rows.schema) == {**SCHEMA, "shopper_id": pl.String()}
    assert read_table_info(layout) is None
    assert read_manifests(layout) == []
    assert len(data_digest(layout)) == 64


@pytest.mark.parametrize(
    ("start", "end", "events"),
    [
        (None, None, ["e0", "e1", "e3"]),
        (date(2026, 3, 2), None, ["e1", "e3"]),
        (None, date(2026, 3, 2), ["e0", "e1"]),
        (date(2026, 3, 2), date(2026, 3, 3), ["e1"]),
        (date(2026, 3, 3), date(2026, 3, 3), []),
        (date(2027, 1, 1), None, []),
    ],
)
def test_both_ends_of_a_window_are_included(layout, start, end, events):
    found = read_interactions(layout, start, end).collect()
    assert found["event_id"].to_list() == events
    manifests = read_manifests(layout, start, end)
    assert sum(manifest.events for manifest in manifests) == len(events)


def test_rows_are_in_time_order_over_all_files(tmp_path):
    layout = StoreLayout(tmp_path)
    moments = [START + (n * 7919) % 97 * DAY // 13 for n in range(97)]
    bring_in(layout, [row(f"e{n}", ts) for n, ts in enumerate(moments)])
    assert scan_stored(layout).collect()["ts"].to_physical().to_list() == sorted(moments)


def test_a_manifest_says_what_the_day_holds(layout):
    manifest = read_manifest(layout, date(2026, 3, 2))
    assert (manifest.rows, manifest.events) == (1, 1)
    assert manifest.first_ts == manifest.last_ts == START + DAY
    assert manifest.links is None
    assert read_manifest(layout, date(2026, 3, 3)) is None


def test_a_broken_or_newer_manifest_is_said(layout):
    path = day_folder(layout, date(2026, 3, 1)) / "manifest.json"
    good = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**good, "version": 9}))
    with pytest.raises(DataError, match="table version 9, this code reads 1"):
        read_manifests(layout)
    path.write_bytes(b"{")
    with pytest.raises(DataError, match="not a manifest"):
        read_manifests(layout)


def test_files_without_a_manifest_do_not_exist(layout):
    folder = day_folder(layout, date(2026, 3, 3))
    folder.mkdir()
    scan_stored(layout).collect().write_parquet(folder / "part-0000-x.parquet")
    assert len(list_days(layout)) == 3
    assert scan_stored(layout).collect().height == 3


def test_plain_parquet_readers_see_the_stored_columns(layout):
    """What docs/tables.md promises to DuckDB and Spark: UTC microseconds, no unsigned ids."""
    files = sorted(layout.tables.rglob("part-*.parquet"))
    found = pl.concat([pl.read_parquet(file, hive_partitioning=False) for file in files])
    assert dict(found.schema) == dict(STORED_SCHEMA)
