"""Feature views: what is computed about shoppers, items and their pairs, declared once.

The vocabulary is Feast's: an *entity* has join keys, a *feature view* has features of one entity
and a time to live, a *feature service* is the set of views that one model reads.

A view has two layers. *Aggregates* change only when an event becomes known or leaves a window;
`feature_store.view_rows` writes one row per such moment. *Features* are expressions over the
aggregates and the moment of asking, so that "seconds since the last view" or a decayed count is
exact at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import polars as pl

from feature_store.point_in_time import FEATURE_AVAILABLE_AT, FEATURE_TS
from recommender.errors import InvalidInputError
from recommender.terms import (
    ADD_TO_CART,
    CATEGORY,
    EVENT_ID,
    ITEM_ID,
    PRICE,
    PURCHASE,
    SEARCH,
    SELECT_ITEM,
    SHOPPER_ID,
    TS,
    VIEW_ITEM,
)

PRICE_SCALE: Final = 10_000
"""Prices are summed as whole ten-thousandths: the sum does not depend on the order."""


class How(StrEnum):
    """How an aggregate takes its events together."""

    SUM = "sum"
    DISTINCT = "distinct"
    DECAYED_SUM = "decayed_sum"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Entity:
    """What features are about, and the columns that name one."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Aggregate:
    """One running value per entity.

    Parameters
    ----------
    event_types
        Events that count.
    value
        SUM, DECAYED_SUM: what each row adds, int64 or float64. DISTINCT: what is told apart, null
        not counted. FIRST, LAST: none, it is the event's time that is kept.
    window
        SUM, DISTINCT: only events of at most this age count. None: all.
    half_life
        DECAYED_SUM: age at which an event counts half.
    """

    name: str
    how: How
    event_types: tuple[str, ...]
    value: pl.Expr | None = None
    window: timedelta | None = None
    half_life: timedelta | None = None

    def __post_init__(self) -> None:
        needs_value = self.how in (How.SUM, How.DISTINCT, How.DECAYED_SUM)
        if needs_value != (self.value is not None):
            raise InvalidInputError(f"aggregate {self.name}: {self.how} and value do not fit")
        if (self.how is How.DECAYED_SUM) != (self.half_life is not None):
            raise InvalidInputError(f"aggregate {self.name}: {self.how} and half_life do not fit")
        if self.window is not None and self.how not in (How.SUM, How.DISTINCT):
            raise InvalidInputError(f"aggregate {self.name}: {self.how} has no window")

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column: counts are int64, decayed ones float64, times microseconds UTC."""
        if self.how in (How.FIRST, How.LAST):
            return pl.Datetime("us", "UTC")
        return pl.Float64() if self.how is How.DECAYED_SUM else pl.Int64()

    def read(self) -> pl.Expr:
        """Value at the moment ``ts`` of asking; null where nothing is known."""
        if self.half_life is None:
            return pl.col(self.name)
        age = (pl.col(TS) - pl.col(FEATURE_AVAILABLE_AT)).dt.total_microseconds()
        return pl.col(self.name) * half_lives_to_weight(age / _micros(self.half_life))


@dataclass(frozen=True)
class Feature:
    """One column that a model sees: an expression over `Aggregate.read` columns and ``ts``."""

    name: str
    dtype: pl.DataType
    expression: pl.Expr


@dataclass(frozen=True)
class FeatureView:
    """Features of one entity.

    Parameters
    ----------
    ttl
        Nothing is known about an entity whose last event is older.
    prepared
        Fills in columns that the entity's keys or the aggregates need, using nothing that was not
        known when a row was; None: the rows have them.
    """

    name: str
    entity: Entity
    aggregates: tuple[Aggregate, ...]
    features: tuple[Feature, ...]
    ttl: timedelta
    prepared: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None

    @property
    def event_types(self) -> tuple[str, ...]:
        """Events that any aggregate counts."""
        return tuple(sorted({kind for one in self.aggregates for kind in one.event_types}))

    @property
    def schema(self) -> pl.Schema:
        """Feature columns and their types."""
        return pl.Schema({feature.name: feature.dtype for feature in self.features})

    def read(self, joined: pl.LazyFrame, prefix: str = "") -> pl.LazyFrame:
        """Features in place of the aggregates of rows from `join_as_of`.

        Columns that the join added are taken out; the features' names get `prefix`.
        """
        added = [FEATURE_TS, FEATURE_AVAILABLE_AT, *(one.name for one in self.aggregates)]
        values = joined.with_columns(one.read().alias(one.name) for one in self.aggregates)
        features = values.with_columns(
            feature.expression.cast(feature.dtype).alias(f"__{feature.name}")
            for feature in self.features
        )
        names = {f"__{feature.name}": prefix + feature.name for feature in self.features}
        return features.drop(added).rename(names)


@dataclass(frozen=True)
class FeatureService:
    """The views that one model reads; its columns are ``<view>__<feature>``."""

    name: str
    views: tuple[FeatureView, ...]

    @property
    def schema(self) -> pl.Schema:
        """All columns and their types."""
        return pl.Schema(
            {
                f"{view.name}__{name}": dtype
                for view in self.views
                for name, dtype in view.schema.items()
            }
        )


def half_lives_to_weight(half_lives: pl.Expr) -> pl.Expr:
    """2 to the power of minus `half_lives`, in (0, 1] for ages."""
    return (half_lives * -_LN_2).exp()


def seconds_since(column: str) -> pl.Expr:
    """Age of a time column at ``ts``, float64 seconds."""
    return (pl.col(TS) - pl.col(column)).dt.total_microseconds() / 1e6


def _micros(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def count_of(name: str, *event_types: str, window: timedelta | None = None) -> Aggregate:
    """Events, whatever their number of items."""
    once = pl.col(EVENT_ID).is_first_distinct().cast(pl.Int64)
    return Aggregate(name, How.SUM, event_types, once, window)


def _rows(name: str, *event_types: str) -> Aggregate:
    """Items touched: one per row."""
    return Aggregate(name, How.SUM, event_types, pl.lit(1, pl.Int64))


def _decayed(name: str, *event_types: str) -> Aggregate:
    return Aggregate(name, How.DECAYED_SUM, event_types, pl.lit(1.0), half_life=HALF_LIFE)


def _prices(*event_types: str) -> tuple[Aggregate, Aggregate]:
    scaled = (pl.col(PRICE) * PRICE_SCALE).round().cast(pl.Int64).fill_null(0)
    return (
        Aggregate("price_sum", How.SUM, event_types, scaled),
        Aggregate("price_count", How.SUM, event_types, pl.col(PRICE).is_not_null().cast(pl.Int64)),
    )


def _as_count(name: str) -> Feature:
    return Feature(name, pl.Int64(), pl.col(name).fill_null(0))


def _windowed(kinds: dict[str, str], days: Sequence[int]) -> tuple[Aggregate, ...]:
    return tuple(
        count_of(f"{name}_{day}d", kind, window=timedelta(days=day))
        for name, kind in kinds.items()
        for day in days
    )


_LN_2: Final = 0.6931471805599453
_DAY: Final = timedelta(days=1)
HALF_LIFE: Final = 14 * _DAY

SHOPPER: Final = Entity("shopper", (SHOPPER_ID,))
ITEM: Final = Entity("item", (ITEM_ID,))
SHOPPER_ITEM: Final = Entity("shopper_item", (SHOPPER_ID, ITEM_ID))

_MEAN_PRICE: Final = Feature(
    "mean_price",
    pl.Float64(),
    pl.when(pl.col("price_count") > 0).then(
        pl.col("price_sum") / pl.col("price_count") / PRICE_SCALE
    ),
)
_ACTIVITY: Final = MappingProxyType(
    {"views": VIEW_ITEM, "carts": ADD_TO_CART, "purchases": PURCHASE, "searches": SEARCH}
)
_ACTIVE: Final = (SELECT_ITEM, *_ACTIVITY.values())
_COUNTS: Final = _windowed(dict(_ACTIVITY), (1, 7, 30))

VISITOR_ACTIVITY: Final = FeatureView(
    name="visitor_activity",
    entity=SHOPPER,
    aggregates=(
        *_COUNTS,
        Aggregate("distinct_items_30d", How.DISTINCT, _ACTIVE, pl.col(ITEM_ID), 30 * _DAY),
        Aggregate("distinct_categories_30d", How.DISTINCT, _ACTIVE, pl.col(CATEGORY), 30 * _DAY),
        *_prices(VIEW_ITEM, ADD_TO_CART, PURCHASE),
        Aggregate("last_ts", How.LAST, _ACTIVE),
    ),
    features=(
        *(_as_count(one.name) for one in _COUNTS),
        _as_count("distinct_items_30d"),
        _as_count("distinct_categories_30d"),
        _MEAN_PRICE,
        Feature("recency_seconds", pl.Float64(), seconds_since("last_ts")),
    ),
    ttl=90 * _DAY,
)

ITEM_STATISTICS: Final = FeatureView(
    name="item_statistics",
    entity=ITEM,
    aggregates=(
        _decayed("views", VIEW_ITEM),
        _decayed("carts", ADD_TO_CART),
        _decayed("purchases", PURCHASE),
        *_prices(VIEW_ITEM, ADD_TO_CART, PURCHASE),
        Aggregate("first_ts", How.FIRST, (SELECT_ITEM, VIEW_ITEM, ADD_TO_CART, PURCHASE)),
    ),
    features=(
        Feature("views", pl.Float64(), pl.col("views").fill_null(0.0)),
        Feature("carts", pl.Float64(), pl.col("carts").fill_null(0.0)),
        Feature("purchases", pl.Float64(), pl.col("purchases").fill_null(0.0)),
        Feature(
            "conversion",
            pl.Float64(),
            pl.when(pl.col("views") > 0).then(pl.col("purchases") / pl.col("views")),
        ),
        _MEAN_PRICE,
        Feature("age_seconds", pl.Float64(), seconds_since("first_ts")),
    ),
    ttl=365 * _DAY,
)

VISITOR_ITEM: Final = FeatureView(
    name="visitor_item",
    entity=SHOPPER_ITEM,
    aggregates=(
        _rows("times_seen", VIEW_ITEM, SELECT_ITEM),
        _rows("times_bought", PURCHASE),
        Aggregate("last_seen_ts", How.LAST, (VIEW_ITEM, SELECT_ITEM)),
        Aggregate("last_bought_ts", How.LAST, (PURCHASE,)),
    ),
    features=(
        _as_count("times_seen"),
        _as_count("times_bought"),
        Feature("seconds_since_seen", pl.Float64(), seconds_since("last_seen_ts")),
        Feature("seconds_since_bought", pl.Float64(), seconds_since("last_bought_ts")),
    ),
    ttl=365 * _DAY,
)
