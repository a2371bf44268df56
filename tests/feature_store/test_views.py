from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from feature_store.all_views import RANKING, VIEWS
from feature_store.materialise import materialise_view
from feature_store.online.features import FeatureRow, entity_key, get_features, put_features
from feature_store.online.memory import MemoryStore
from feature_store.online.state import micros
from feature_store.point_in_time import TIMESTAMP
from feature_store.tables import SCHEMA
from feature_store.view_rows import (
    compute_view,
    features_at,
    latest_values,
    service_features_at,
)
from feature_store.views import (
    HALF_LIFE,
    ITEM_STATISTICS,
    VISITOR_ACTIVITY,
    VISITOR_ITEM,
    Aggregate,
    FeatureView,
    How,
)
from recommender.errors import DataError, InvalidInputError

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ACTIVE = ("select_item", "view_item", "add_to_cart", "purchase", "search")


class Row(NamedTuple):
    """One row of the interactions table; times in hours from the start."""

    shopper: str
    event_type: str
    ts: float
    delay: float
    item: str | None
    price: float | None
    category: str | None = None
    event: int = 0
    brand: str | None = None

    @property
    def known(self) -> float:
        return self.ts + self.delay


def table_of(rows: list[Row]) -> pl.LazyFrame:
    ordered = sorted(enumerate(rows), key=lambda pair: (pair[1].ts, pair[0]))
    columns = {
        "event_id": [f"e{row.event or -n}" for n, row in ordered],
        "event_type": [row.event_type for _, row in ordered],
        "ts": [START + row.ts * HOUR for _, row in ordered],
        "available_at": [START + row.known * HOUR for _, row in ordered],
        "visitor_id": [row.shopper for _, row in ordered],
        "shopper_id": [row.shopper for _, row in ordered],
        "item_id": [row.item for _, row in ordered],
        "price": [row.price for _, row in ordered],
        "category": [row.category for _, row in ordered],
        "brand": [row.brand for _, row in ordered],
    }
    schema = {name: SCHEMA.get(name, pl.String()) for name in columns}
    return pl.LazyFrame(columns, schema=schema)


def labels_of(**columns: list[object]) -> pl.DataFrame:
    frame = pl.DataFrame({**columns, "ts": [START + hours * HOUR for hours in columns["ts"]]})  # type: ignore[operator]
    return frame.with_columns(pl.col("ts").cast(TIMESTAMP))


def activity_at(rows: list[Row], shopper: str, hours: float) -> dict[str, object]:
    labels = labels_of(shopper_id=[shopper], ts=[hours])
    return features_at(VISITOR_ACTIVITY, table_of(rows), labels).row(0, named=True)


def test_windows_hold_what_is_young_enough_and_known() -> None:
    rows = [Row("s", "view_item", 0, 0, "a", 2.0, "x"), Row("s", "view_item", 30, 0, "b", 4.0, "y")]
    assert activity_at(rows, "s", 0)["views_1d"] == 0, "the event itself is not known before it"
    for hours, one_day, seven_days, items in [
        (1, 1, 1, 1),
        (24, 1, 1, 1),
        (25, 0, 1, 1),
        (31, 1, 2, 2),
        (7 * 24 + 1, 0, 1, 2),
        (30 * 24 + 31, 0, 0, 0),
    ]:
        found = activity_at(rows, "s", hours)
        assert (found["views_1d"], found["views_7d"]) == (one_day, seven_days), hours
        assert found["distinct_items_30d"] == found["distinct_categories_30d"] == items, hours
        assert found["recency_seconds"] == 3600 * (hours - (30 if hours > 30 else 0))


def test_a_late_event_counts_from_its_arrival_to_the_end_of_its_own_age() -> None:
    rows = [Row("s", "view_item", 0, 20, "a", 2.0), Row("s", "view_item", 1, 0, "b", 4.0)]
    counts = {hours: activity_at(rows, "s", hours)["views_1d"] for hours in (2, 19, 21, 24.5, 26)}
    assert counts == {2: 1, 19: 1, 21: 2, 24.5: 1, 26: 0}
    too_late = [Row("s", "view_item", 0, 30, "a", 2.0)]
    assert activity_at(too_late, "s", 31)["views_1d"] == 0
    assert activity_at(too_late, "s", 31)["views_7d"] == 1


def test_an_event_of_several_items_is_one_event_for_the_shopper_and_several_for_the_items() -> None:
    rows = [Row("s", "purchase", 1, 0, item, 3.0, event=7) for item in ("a", "b", "c")]
    assert activity_at(rows, "s", 2)["purchases_7d"] == 1
    assert activity_at(rows, "s", 2)["distinct_items_30d"] == 3
    labels = labels_of(shopper_id=["s"] * 2, item_id=["b", "z"], ts=[2, 2])
    bought = features_at(VISITOR_ITEM, table_of(rows), labels)
    assert bought["times_bought"].to_list() == [1, 0]
    assert bought["seconds_since_bought"].to_list() == [3600, None]


def test_an_unknown_shopper_has_counts_of_zero_and_no_means() -> None:
    found = activity_at([Row("s", "view_item", 0, 0, "a", None)], "nobody", 5)
    assert found["views_30d"] == 0
    assert found["mean_price"] is found["recency_seconds"] is None


def test_decayed_counts_halve_with_each_half_life() -> None:
    days = HALF_LIFE / DAY
    rows = [Row("s", "view_item", 0, 0, "a", 10.0), Row("t", "purchase", 24 * days, 0, "a", 20.0)]
    labels = labels_of(item_id=["a"] * 2, ts=[24 * days, 48 * days])
    found = features_at(ITEM_STATISTICS, table_of(rows), labels)
    assert found["views"].to_list() == pytest.approx([0.5, 0.25])
    assert found["purchases"].to_list() == pytest.approx([0, 0.5])
    assert found["conversion"].to_list() == pytest.approx([0, 2])
    assert found["mean_price"].to_list() == [10, 15]
    assert found["age_seconds"].to_list() == [86_400 * days, 86_400 * 2 * days]


def test_data_that_span_too_many_half_lives_are_refused() -> None:
    rows = [Row("s", "view_item", 0, 0, "a", 1.0), Row("s", "view_item", 24 * 15_000, 0, "a", 1.0)]
    with pytest.raises(DataError, match="half-lives"):
        compute_view(ITEM_STATISTICS, table_of(rows))


def test_nothing_is_known_of_an_entity_past_its_time_to_live() -> None:
    rows = [Row("s", "view_item", 0, 0, "a", 1.0)]
    assert activity_at(rows, "s", 90 * 24)["mean_price"] == 1
    assert activity_at(rows, "s", 90 * 24 + 1)["mean_price"] is None


def test_a_clock_that_runs_ahead_does_not_let_events_count_before_they_happen() -> None:
    rows = [Row("s", "view_item", 5, -2, "a", 1.0)]
    assert [activity_at(rows, "s", hours)["views_1d"] for hours in (4, 5, 6)] == [0, 0, 1]


def test_an_empty_log_gives_empty_views() -> None:
    for view in VIEWS.values():
        assert compute_view(view, table_of([])).collect().is_empty()
        assert latest_values(view, table_of([]), START).is_empty()


# ---- against the plain words ---------------------------------------------------------------------


rows_strategy = st.lists(
    st.builds(
        Row,
        st.sampled_from("st"),
        st.sampled_from([*ACTIVE, "view_item_list", "dismiss"]),
        st.integers(0, 24 * 40).map(float) | st.integers(0, 30).map(float),
        st.sampled_from([0.0, 0.0, 0.0, 3.0, 40.0, 167.0]),
        st.none() | st.sampled_from("abc"),
        st.none() | st.sampled_from([1.0, 2.5, 9.99]),
        st.none() | st.sampled_from(["x", "x/y"]),
        event=st.just(0),
        brand=st.none() | st.sampled_from(["Ast", "Rau"]),
    ),
    max_size=25,
)


class Plain(NamedTuple):
    """Features by counting the rows known before a moment."""

    rows: list[Row]
    at: float

    def count(self, kind: str, days: int) -> int:
        return len(self.young(days, kind))

    def young(self, days: int | None, *kinds: str) -> list[Row]:
        return [
            row
            for row in self.rows
            if row.event_type in kinds
            and row.known < self.at
            and (days is None or row.ts + 24 * days >= self.at)
        ]

    def distinct(self, value: Callable[[Row], object]) -> int:
        return len({value(row) for row in self.young(30, *ACTIVE)} - {None})

    def decayed(self, kind: str) -> float:
        ages = [(self.at - row.ts) * HOUR / HALF_LIFE for row in self.young(None, kind)]
        return math.fsum(0.5**age for age in ages)

    def mean_price(self) -> float | None:
        prices = [
            row.price
            for row in self.young(None, "view_item", "add_to_cart", "purchase")
            if row.price is not None
        ]
        return math.fsum(prices) / len(prices) if prices else None

    def since(self, pick: Callable[[list[float]], float], *kinds: str) -> float | None:
        times = [row.ts for row in self.young(None, *kinds)]
        return 3600 * (self.at - pick(times)) if times else None


def activity(rows: list[Row], shopper: str, at: float) -> dict[str, object]:
    plain = Plain([row for row in rows if row.shopper == shopper], at)
    kinds = {
        "views": "view_item",
        "carts": "add_to_cart",
        "purchases": "purchase",
        "searches": "search",
    }
    return {
        **{
            f"{name}_{d}d": plain.count(kind, d) for name, kind in kinds.items() for d in (1, 7, 30)
        },
        "distinct_items_30d": plain.distinct(lambda row: row.item),
        "distinct_categories_30d": plain.distinct(lambda row: row.category),
        "mean_price": plain.mean_price(),
        "recency_seconds": plain.since(max, *ACTIVE),
    }


def statistics(rows: list[Row], item: str, at: float) -> dict[str, object]:
    plain = Plain([row for row in rows if row.item == item], at)
    views, purchases = plain.decayed("view_item"), plain.decayed("purchase")
    return {
        "views": views,
        "carts": plain.decayed("add_to_cart"),
        "purchases": purchases,
        "conversion": purchases / views if views else None,
        "mean_price": plain.mean_price(),
        "age_seconds": plain.since(min, "select_item", "view_item", "add_to_cart", "purchase"),
    }


def pair(rows: list[Row], shopper: str, item: str, at: float) -> dict[str, object]:
    plain = Plain([row for row in rows if (row.shopper, row.item) == (shopper, item)], at)
    return {
        "times_seen": len(plain.young(None, "view_item", "select_item")),
        "times_bought": len(plain.young(None, "purchase")),
        "seconds_since_seen": plain.since(max, "view_item", "select_item"),
        "seconds_since_bought": plain.since(max, "purchase"),
    }


moments = st.lists(st.integers(0, 24 * 80).map(lambda n: n / 2), min_size=1, max_size=4)


@settings(max_examples=60)
@given(rows_strategy, moments, st.sampled_from([1, 3]))
def test_features_agree_with_the_plain_words(
    rows: list[Row], at: list[float], buckets: int
) -> None:
    table = table_of(rows)
    asked = [(shopper, item, hours) for hours in at for shopper in "st" for item in "ab"]
    labels = labels_of(
        shopper_id=[one[0] for one in asked],
        item_id=[one[1] for one in asked],
        ts=[one[2] for one in asked],
    )
    found = service_features_at(RANKING, table, labels, bucket_count=buckets)
    expected = pl.DataFrame(
        [
            {
                **{f"visitor_activity__{k}": v for k, v in activity(rows, shopper, hours).items()},
                **{f"item_statistics__{k}": v for k, v in statistics(rows, item, hours).items()},
                **{f"visitor_item__{k}": v for k, v in pair(rows, shopper, item, hours).items()},
            }
            for shopper, item, hours in asked
        ],
        schema=RANKING.schema,
    )
    assert found.select(labels.columns).equals(labels)
    assert_frame_equal(found.drop(labels.columns), expected, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=40)
@given(rows_strategy, rows_strategy, st.integers(0, 24 * 40).map(float))
def test_nothing_that_becomes_known_later_changes_features(
    rows: list[Row], more: list[Row], at: float
) -> None:
    later = [row for row in more if row.known >= at]
    labels = labels_of(shopper_id=["s", "t"], item_id=["a", "b"], ts=[at, at])
    before = service_features_at(RANKING, table_of(rows), labels)
    after = service_features_at(RANKING, table_of(rows + later), labels)
    assert_frame_equal(before, after, rel_tol=1e-9)


# ---- online --------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(rows_strategy, st.integers(1, 24 * 60).map(float))
def test_the_latest_offline_value_is_the_materialised_one(rows: list[Row], at: float) -> None:
    table, moment = table_of(rows), START + at * HOUR
    store = MemoryStore(lambda: micros(moment))
    for view in VIEWS.values():
        latest = latest_values(view, table, moment)
        keys, names = list(view.entity.keys), list(view.schema)
        assert materialise_view(view, table, store, moment) == latest.height
        entities = latest.select(keys).rows()
        assert get_features(store, view.name, entities) == latest.select(names).to_dicts()
        labels = latest.select(keys).with_columns(pl.lit(moment).cast(TIMESTAMP).alias("ts"))
        again = features_at(view, table, labels, allow_exact_matches=True)
        assert_frame_equal(again.drop("ts"), latest, rel_tol=1e-9)


def test_an_unmaterialised_view_and_an_unknown_entity() -> None:
    store = MemoryStore(lambda: 0)
    with pytest.raises(DataError, match="run `desirepath materialise`"):
        get_features(store, "v", [("a",)])
    put_features(store, "v", ["x"], [(("a",), FeatureRow(5, (1.5,)))], 60)
    assert get_features(store, "v", [("a",), ("b",)]) == [{"x": 1.5}, None]


def test_older_values_do_not_replace_newer_ones() -> None:
    store = MemoryStore(lambda: 0)
    assert put_features(store, "v", ["x"], [(("a",), FeatureRow(5, (1,)))], 60) == 1
    assert put_features(store, "v", ["x"], [(("a",), FeatureRow(4, (2,)))], 60) == 0
    assert get_features(store, "v", [("a",)]) == [{"x": 1}]


def test_values_of_a_view_that_has_changed_since_are_not_misread() -> None:
    store = MemoryStore(lambda: 0)
    put_features(store, "v", ["x"], [(("a",), FeatureRow(5, (1,)))], 60)
    put_features(store, "v", ["y"], [(("b",), FeatureRow(5, (2,)))], 60)
    assert get_features(store, "v", [("a",), ("b",)]) == [None, {"y": 2}]


def test_entities_never_share_a_key() -> None:
    assert entity_key("v", ("a", "bc")) != entity_key("v", ("ab", "c"))
    assert entity_key("v", ("1:a",)) != entity_key("v", ("a",))
    long, other = ("é" * 200, "x" * 256), ("é" * 200, "y" * 256)
    assert entity_key("v", long) != entity_key("v", other)
    assert len(entity_key("v", long).encode()) <= 511


# ---- declarations --------------------------------------------------------------------------------


def test_a_view_says_what_it_gives() -> None:
    assert VISITOR_ITEM.schema.names() == [
        "times_seen",
        "times_bought",
        "seconds_since_seen",
        "seconds_since_bought",
    ]
    assert VISITOR_ITEM.event_types == ("purchase", "select_item", "view_item")
    assert "item_statistics__conversion" in RANKING.schema


@pytest.mark.parametrize(
    "fields",
    [
        {"how": How.SUM},
        {"how": How.LAST, "value": pl.lit(1)},
        {"how": How.DECAYED_SUM, "value": pl.lit(1)},
        {"how": How.SUM, "value": pl.lit(1), "half_life": DAY},
        {"how": How.LAST, "window": DAY},
    ],
)
def test_an_aggregate_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="aggregate x"):
        Aggregate("x", event_types=("view_item",), **fields)  # type: ignore[arg-type]


def test_a_view_of_ones_own() -> None:
    view = FeatureView(
        "brands",
        ITEM_STATISTICS.entity,
        (Aggregate("shoppers", How.DISTINCT, ("view_item",), pl.col("shopper_id")),),
        (),
        DAY,
    )
    rows = [Row(name, "view_item", n, 0, "a", None) for n, name in enumerate("stst")]
    assert compute_view(view, table_of(rows)).collect()["shoppers"].to_list() == [1, 2, 2, 2]
