from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.facts import apply_events
from feature_store.online.state import StateLimits, VisitorState, micros
from feature_store.point_in_time import TIMESTAMP
from feature_store.shopper_views import VISITOR_BRAND, VISITOR_STAGE, stage_view
from feature_store.tables import SCHEMA
from feature_store.view_rows import features_at
from recommender.affinity import brand_affinity
from recommender.query import Interaction
from recommender.stage import STAGE_CODES, stage_of
from recommender.terms import INTERACTION_TYPES

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WIDE = StateLimits(recent=1000, purchased=1000, wished=1000)


class Did(NamedTuple):
    """One event with some items; times in hours from the start, all different."""

    shopper: str
    event_type: str
    hours: float
    items: tuple[str, ...]
    delay: float = 0.0
    brand: str | None = None

    @property
    def known(self) -> float:
        return self.hours + self.delay


def table_of(done: list[Did]) -> pl.LazyFrame:
    rows = [
        {
            "event_id": f"{each.shopper}-{each.hours}",
            "event_type": each.event_type,
            "ts": START + each.hours * HOUR,
            "available_at": START + each.known * HOUR,
            "shopper_id": each.shopper,
            "item_id": item,
            "brand": each.brand,
        }
        for each in sorted(done, key=lambda each: each.hours)
        for item in each.items
    ]
    schema = {name: SCHEMA.get(name, pl.String()) for name in _COLUMNS}
    return pl.LazyFrame(rows, schema=schema)


_COLUMNS = ("event_id", "event_type", "ts", "available_at", "shopper_id", "item_id", "brand")


def labels(hours: float, **keys: list[str]) -> pl.DataFrame:
    count = len(next(iter(keys.values())))
    moments = pl.Series("ts", [START + hours * HOUR] * count).cast(TIMESTAMP)
    return pl.DataFrame(keys).with_columns(moments)


TELLING = ("purchase", "purchase", "refund", "add_to_wishlist", "share", "review")
events = st.lists(
    st.builds(
        Did,
        st.sampled_from("st"),
        st.sampled_from(INTERACTION_TYPES) | st.sampled_from(TELLING),
        st.integers(0, 24 * 400).map(float),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True).map(tuple),
        st.sampled_from([0.0, 0.0, 30.5, 900.5]),
        st.none() | st.sampled_from(["Ast", "Rau"]),
    ),
    max_size=20,
    unique_by=lambda did: did.hours,
)


def state_of(done: list[Did], shopper: str) -> VisitorState:
    own = [
        InteractionEvent(
            f"{n}",
            each.event_type,
            micros(START + each.hours * HOUR),
            shopper,
            items=tuple(EventItem(item) for item in each.items),
        )
        for n, each in enumerate(done)
        if each.shopper == shopper
    ]
    return apply_events(VisitorState(), own, WIDE)


@settings(max_examples=20, deadline=None)
@given(events, st.integers(1, 24 * 500).map(float), st.sampled_from([86_400.0 * 20, 86_400.0 * 90]))
def test_stages_of_the_tables_are_stages_of_the_states(
    done: list[Did], at: float, usual: float
) -> None:
    found = features_at(stage_view(usual), table_of(done), labels(at, shopper_id=["s", "t"]))
    known = [each for each in done if each.known < at]
    for shopper, code, kept in found.select("shopper_id", "stage", "kept_purchases").iter_rows():
        behaviour = state_of(known, shopper).behaviour
        assert code == STAGE_CODES[stage_of(behaviour, micros(START + at * HOUR), usual)]
        assert kept == behaviour.kept_purchases


def test_a_shopper_nobody_knows_is_a_prospect() -> None:
    found = features_at(VISITOR_STAGE, table_of([]), labels(1, shopper_id=["nobody"]))
    assert found.row(0, named=True) | {"ts": None} == {
        "shopper_id": "nobody",
        "ts": None,
        "stage": 0,
        "kept_purchases": 0,
        "seconds_since_purchase": None,
    }


def brands_by_hand(done: list[Did], at: float, shopper: str) -> dict[str, float]:
    """Affinity of one shopper; an item's brand is what its latest row to arrive before said."""
    brand: dict[str, str] = {}
    rows, brands = [], []
    for each in sorted(done, key=lambda each: (each.known, each.hours)):
        if each.known >= at:
            continue
        for item in each.items:
            if each.brand:
                brand[item] = each.brand
            if each.shopper == shopper and item in brand:
                name = f"{len(rows)}"
                rows.append(Interaction(name, each.event_type, micros(START + each.hours * HOUR)))
                brands.append(brand[item])
    lookup = dict(zip((row.item_id for row in rows), brands, strict=True))
    return brand_affinity(rows, lookup.get, micros(START + at * HOUR))


@settings(max_examples=20, deadline=None)
@given(events, st.integers(1, 24 * 500).map(float), st.sampled_from([1, 3]))
def test_affinity_of_the_tables_is_that_of_the_formula(
    done: list[Did], at: float, buckets: int
) -> None:
    asked = labels(at, shopper_id=["s", "s", "t", "t"], brand=["Ast", "Rau"] * 2)
    found = features_at(VISITOR_BRAND, table_of(done), asked, bucket_count=buckets)
    for shopper, brand, score in found.select("shopper_id", "brand", "affinity").iter_rows():
        last = [each.hours for each in done if each.known < at and each.shopper == shopper]
        if last and at - max(last) > 365 * 24:
            continue  # beyond the time to live
        expected = brands_by_hand(done, at, shopper).get(brand, 0.0)
        assert score == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=12, deadline=None)
@given(events, events, st.integers(1, 24 * 400).map(float))
def test_the_future_changes_nothing(done: list[Did], more: list[Did], at: float) -> None:
    taken = {each.hours for each in done}
    later = [each for each in more if each.known >= at and each.hours not in taken]
    people = labels(at, shopper_id=["s", "t"])
    pairs = labels(at, shopper_id=["s", "s", "t", "t"], brand=["Ast", "Rau"] * 2)
    for view, asked in ((VISITOR_STAGE, people), (VISITOR_BRAND, pairs)):
        before = features_at(view, table_of(done), asked)
        after = features_at(view, table_of(done + later), asked)
        assert_frame_equal(before, after, rel_tol=1e-9)
