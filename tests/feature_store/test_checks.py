from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from feature_store.catalogue_file import install_catalogue
from feature_store.checks import CheckLimits, check
from feature_store.day_table import read_day, write_days
from feature_store.layout import StoreLayout
from feature_store.tables import day_folder, read_manifest
from recommender.errors import ConfigError, DataError, InvalidInputError
from tests.tabling import DAY, MINUTE, START, bring_in, row

DAYS = 6
LAST = date(2026, 3, 6)
AT = datetime(2026, 3, 7, 6, tzinfo=UTC)
GATES = [
    "schema",
    "freshness",
    "ranges",
    "referential",
    "volume",
    "nulls",
    "missing_items",
    "duplicates",
    "top_item",
    "new_items",
    "new_visitors",
]


def build(root) -> StoreLayout:
    """Six equal days of 200 views and purchases of forty items by eighty visitors, all priced."""
    rng, layout, rows = random.Random(2), StoreLayout(root), []
    for number in range(DAYS * 200):
        day, place = divmod(number, 200)
        item = rng.randrange(40)
        rows.append(
            row(
                f"e{number}",
                START + day * DAY + place * MINUTE,
                f"v{rng.randrange(80)}",
                item_id=f"i{item}",
                price=1.0 + item,
                quantity=1.0,
                brand=f"b{item % 3}",
                event_type="purchase" if place % 10 == 0 else "view_item",
            )
        )
    bring_in(layout, rows)
    catalogue = layout.root / "items.csv"
    catalogue.write_text("item_id\n" + "".join(f"i{item}\n" for item in range(40)))
    install_catalogue(catalogue, layout)
    return layout


@pytest.fixture
def layout(tmp_path) -> StoreLayout:
    return build(tmp_path)


def mutate(layout: StoreLayout, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the last day behind the back of the ingest."""
    rows = change(read_day(layout, LAST)).sort("ts", "event_id", "item_position")
    write_days(layout, [LAST], rows)


def tripped(layout: StoreLayout, at: datetime = AT, **limits: float) -> list[str]:
    return [gate.name for gate in check(layout, at, CheckLimits(**limits)).tripped]


def every(n: int) -> pl.Expr:
    return pl.int_range(pl.len()) % n == 0


def replace(column: str, value: object, where: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    new = pl.when(where).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)
    return lambda rows: rows.with_columns(new.cast(rows.schema[column]))


def fired_twice(rows: pl.DataFrame) -> pl.DataFrame:
    twice = rows.filter(every(5)).with_columns(pl.col("event_id") + "-again")
    return pl.concat([rows, twice])


def renamed(column: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda rows: rows.with_columns(pl.col(column) + "-new")


def test_a_green_day_trips_nothing(layout):
    report = check(layout, AT)
    assert report.tripped == ()
    assert report.day == "2026-03-06"
    assert report.rows == 200
    assert [gate.name for gate in report.gates] == GATES
    assert all(gate.value is not None for gate in report.gates)


@pytest.mark.parametrize(
    ("gate", "change"),
    [
        ("ranges", replace("price", -1.0, every(20))),
        ("ranges", replace("quantity", 1e9, every(20))),
        ("ranges", replace("value", -5.0, every(20))),
        ("volume", lambda rows: rows.filter(~every(10) & ~every(7) & ~every(2))),
        (
            "volume",
            lambda rows: pl.concat(
                rows.with_columns(
                    pl.col("event_id") + f"-{n}", pl.col("ts").dt.offset_by(f"{n * 7}s")
                )
                for n in range(2)
            ),
        ),
        ("nulls", replace("brand", None, every(2))),
        ("missing_items", replace("item_id", None, every(10))),
        ("duplicates", fired_twice),
        ("top_item", replace("item_id", "i3", every(2))),
        ("new_visitors", renamed("visitor_id")),
    ],
)
def test_each_gate_trips_alone(layout, gate, change):
    mutate(layout, change)
    assert tripped(layout) == [gate]


def test_items_with_new_ids_trip_alone_without_a_catalogue_file(layout):
    (layout.tables / "catalogue" / "override.parquet").unlink()
    mutate(layout, renamed("item_id"))
    assert tripped(layout) == ["new_items"]


def test_items_that_the_catalogue_lacks_trip_alone(layout):
    catalogue = layout.root / "items.csv"
    catalogue.write_text("item_id\n" + "".join(f"i{item}\n" for item in range(20)))
    install_catalogue(catalogue, layout)
    assert tripped(layout) == ["referential"]


def test_an_old_newest_event_trips_alone(layout):
    assert tripped(layout, AT + timedelta(days=3)) == ["freshness"]


def test_events_after_the_moment_do_not_hide_a_log_that_had_stopped(layout):
    late = AT + timedelta(days=3)
    bring_in(layout, [row("again", int(late.timestamp()) * 1_000_000 + MINUTE, item_id="i1")])
    freshness = next(gate for gate in check(layout, late).gates if gate.name == "freshness")
    assert freshness.is_tripped
    newest = read_day(layout, LAST)["ts"].max()
    assert freshness.value == pytest.approx((late - newest).total_seconds() / 3600)


def test_a_column_of_another_type_trips_alone(layout):
    manifest = read_manifest(layout, LAST)
    file = day_folder(layout, LAST) / manifest.files[0].name
    pl.read_parquet(file).with_columns(pl.col("price").cast(pl.String)).write_parquet(file)
    assert tripped(layout) == ["schema"]
    assert len(check(layout, AT).gates) == 2


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("visitor_id", None, "visitor_id: 20 rows"),
        ("event_type", "dance", "unknown event_type: 20"),
    ],
)
def test_a_missing_or_unknown_word_trips_the_schema_gate(layout, column, value, says):
    mutate(layout, replace(column, value, every(10)))
    report = check(layout, AT)
    assert [gate.name for gate in report.tripped] == ["schema"]
    assert says in report.tripped[0].detail


def test_a_file_that_is_not_its_manifests_trips_the_schema_gate(layout):
    file = day_folder(layout, LAST) / read_manifest(layout, LAST).files[0].name
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    assert tripped(layout) == ["schema"]


def test_limits_move_the_gates(layout):
    assert tripped(layout, max_top_item_share=0.01) == ["top_item"]
    mutate(layout, replace("brand", None, every(2)))
    assert tripped(layout, max_null_share_rise=0.6) == []


def test_what_cannot_be_measured_says_so_and_does_not_trip(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START), row("b", START + 1)])
    report = check(layout, AT, day=date(2026, 3, 1))
    unmeasured = {gate.name for gate in report.gates if gate.value is None}
    assert unmeasured == set(GATES) - {"schema", "freshness", "ranges"}
    assert [gate.name for gate in report.tripped] == ["freshness"]


def test_the_day_is_the_last_whole_one(layout):
    assert check(layout, datetime(2026, 3, 6, 23, tzinfo=UTC)).day == "2026-03-05"
    assert check(layout, AT, day=date(2026, 3, 4)).day == "2026-03-04"
    with pytest.raises(DataError, match="no rows of 2026-03-09"):
        check(layout, AT, day=date(2026, 3, 9))
    with pytest.raises(DataError, match="ingest something first"):
        check(layout, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_moment_without_a_zone_is_refused(layout):
    with pytest.raises(InvalidInputError, match="no time zone"):
        check(layout, AT.replace(tzinfo=None))


def test_limits_from_a_mapping():
    limits = CheckLimits.from_mapping({"max_age_hours": 3, "min_rows": 7})
    assert (limits.max_age_hours, limits.min_rows, limits.max_volume_change) == (3, 7, 0.5)
    with pytest.raises(ConfigError, match="'max_age'; accepted: max_age_hours"):
        CheckLimits.from_mapping({"max_age": 3})
    for bad in ({"min_rows": 1.5}, {"max_age_hours": "3"}, {"min_rows": True}):
        with pytest.raises(ConfigError, match="accepted:"):
            CheckLimits.from_mapping(bad)
    for wrong in ({"max_age_hours": -1.0}, {"max_price": float("nan")}, {"min_trailing_days": 90}):
        with pytest.raises(ConfigError, match="accepted:"):
            CheckLimits(**wrong)
