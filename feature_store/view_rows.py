"""Rows of a feature view over time, and the features of labels and of now that follow from them.

Every event counts from the moment it became known to the moment it leaves the window. So for each
entity a value changes at known moments, each gets a row, and an as-of join gives exactly what was
known at any other moment, late events included: an event that arrives late starts to count
late, and stops with its own age.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl

from feature_store.point_in_time import join_as_of
from feature_store.views import (
    Aggregate,
    FeatureService,
    FeatureView,
    How,
    half_lives_to_weight,
)
from recommender.errors import DataError
from recommender.terms import AVAILABLE_AT, EVENT_TYPE, TS

_PLACE = "__row"
MAX_HALF_LIVES = 1_000
"""Weights grow by 2 per half-life over the window of the data; float64 ends at 2 to the 1,023."""


def compute_view(view: FeatureView, interactions: pl.LazyFrame) -> pl.LazyFrame:
    """Aggregates of a view at every moment one of them changes.

    Parameters
    ----------
    interactions
        Rows as `feature_store.tables.read_interactions` gives them.

    Returns
    -------
    LazyFrame
        The entity's keys, ``ts`` (time of the latest event known, Datetime us UTC),
        ``available_at`` (the moment of the change, never before ``ts``) and the aggregates, ordered
        by ``available_at``; one row per entity and moment.

    Raises
    ------
    DataError
        The data span more half-lives than float64 can weigh.
    """
    keys = list(view.entity.keys)
    events = _events(view, interactions)
    # A clock that runs ahead: nothing counts before it happens.
    events = events.with_columns(pl.max_horizontal(AVAILABLE_AT, TS).alias(AVAILABLE_AT))
    origin = _origin(view, events)
    changes = pl.concat(list(_changes(view, events, keys, origin)), how="diagonal")
    moments = changes.group_by(*keys, AVAILABLE_AT).agg(
        pl.col(TS).max(), *(_at_one_moment(one) for one in view.aggregates)
    )
    moments = moments.sort(AVAILABLE_AT, *keys)
    latest_ts = pl.col(TS).cum_max().forward_fill().over(keys)
    running = [_running(one, origin).over(keys).alias(one.name) for one in view.aggregates]
    rows = moments.with_columns(latest_ts, *running)
    return rows.select(*keys, TS, AVAILABLE_AT, *(one.name for one in view.aggregates))


def features_at(
    view: FeatureView,
    interactions: pl.LazyFrame,
    labels: pl.DataFrame,
    *,
    allow_exact_matches: bool = False,
    bucket_count: int = 1,
    prefix: str = "",
) -> pl.DataFrame:
    """Labels with a view's features as they were known before each.

    Parameters
    ----------
    labels
        The entity's keys, ``ts`` and any others; kept row by row, in order.
    allow_exact_matches
        Also use what became known at the very moment of the label.
    bucket_count
        Work through so many parts of the entities one after the other: memory falls, the
        interactions are read as many times.
    prefix
        Put before the features' names.
    """
    keys = list(view.entity.keys)
    bucket = pl.struct(keys).hash(seed=0) % bucket_count
    ordered = labels.with_row_index(_PLACE)
    if view.prepared is not None:
        interactions = view.prepared(interactions)
    parts = [
        join_as_of(
            ordered.filter(bucket == number),
            compute_view(view, interactions.filter(bucket == number)),
            keys,
            view.ttl,
            allow_exact_matches=allow_exact_matches,
        )
        for number in range(bucket_count)
    ]
    joined = pl.concat(parts).sort(_PLACE).drop(_PLACE)
    return view.read(joined.lazy(), prefix).collect()


def service_features_at(
    service: FeatureService,
    interactions: pl.LazyFrame,
    labels: pl.DataFrame,
    bucket_count: int = 1,
) -> pl.DataFrame:
    """Labels with the features of every view of a service, named ``<view>__<feature>``."""
    for view in service.views:
        labels = features_at(
            view, interactions, labels, bucket_count=bucket_count, prefix=f"{view.name}__"
        )
    return labels


def latest_values(view: FeatureView, interactions: pl.LazyFrame, at: datetime) -> pl.DataFrame:
    """Features of every entity seen within the time to live, as known at `at`."""
    known = interactions.filter(pl.col(AVAILABLE_AT) <= at)
    if view.prepared is not None:
        known = view.prepared(known)
    seen = _events(view, known).group_by(view.entity.keys).agg(pl.col(TS).max())
    entities = seen.filter(pl.col(TS) >= at - view.ttl).select(view.entity.keys).collect()
    labels = entities.sort(view.entity.keys).with_columns(
        pl.lit(at).dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC")).alias(TS)
    )
    return features_at(view, known, labels, allow_exact_matches=True).drop(TS)


def _events(view: FeatureView, interactions: pl.LazyFrame) -> pl.LazyFrame:
    """Rows that say something about an entity of the view."""
    return interactions.filter(
        pl.col(EVENT_TYPE).is_in(list(view.event_types)),
        *(pl.col(key).is_not_null() for key in view.entity.keys),
    )


def _changes(
    view: FeatureView, events: pl.LazyFrame, keys: list[str], origin: datetime
) -> Iterator[pl.LazyFrame]:
    summed = [one for one in view.aggregates if one.how is not How.DISTINCT]
    rows = events.select(
        *keys,
        TS,
        AVAILABLE_AT,
        *(_contribution(one, origin).alias(one.name) for one in summed),
    )
    yield rows.with_columns(_unless_too_late(one) for one in summed if one.window)
    for window in sorted({one.window for one in summed if one.window}):
        leaving = [one for one in summed if one.window == window]
        ends = rows.filter(pl.col(AVAILABLE_AT) < pl.col(TS) + window)
        yield ends.select(
            *keys,
            (pl.col(TS) + _just_over(window)).alias(AVAILABLE_AT),
            *(-pl.col(one.name) for one in leaving),
        )
    for one in view.aggregates:
        if one.how is How.DISTINCT:
            yield from _distinct_changes(one, events, keys)


def _contribution(one: Aggregate, origin: datetime) -> pl.Expr:
    """What a row adds to an aggregate, 0 or null if nothing."""
    counts = pl.col(EVENT_TYPE).is_in(list(one.event_types))
    if one.how in (How.FIRST, How.LAST):
        return pl.when(counts).then(TS)
    value = pl.when(counts).then(one.value).otherwise(0).cast(one.dtype)
    if one.half_life is None:
        return value
    return value / half_lives_to_weight(_half_lives(pl.col(TS), origin, one.half_life))


def _unless_too_late(one: Aggregate) -> pl.Expr:
    """An event that arrives when it is already out of the window never counts."""
    assert one.window is not None  # noqa: S101 - the caller chose windowed aggregates
    in_time = pl.col(AVAILABLE_AT) <= pl.col(TS) + one.window
    return pl.when(in_time).then(one.name).otherwise(0).alias(one.name)


def _distinct_changes(
    one: Aggregate, events: pl.LazyFrame, keys: list[str]
) -> Iterator[pl.LazyFrame]:
    """+1 where a value begins to be in the window, -1 where it ends, per entity and value.

    The spans ``[available_at, ts + window]`` of one value are united: each adds only what
    reaches beyond all spans before it.
    """
    assert one.value is not None  # noqa: S101 - checked when the aggregate was made
    start, end, reach = pl.col(AVAILABLE_AT), pl.col("__end"), pl.col("__reach")
    spans = events.filter(pl.col(EVENT_TYPE).is_in(list(one.event_types))).select(
        *keys, TS, AVAILABLE_AT, one.value.alias("__value")
    )
    spans = spans.filter(pl.col("__value").is_not_null())
    group = [*keys, "__value"]
    if one.window is None:
        first = spans.group_by(group).agg(start.min(), pl.col(TS).sort_by(AVAILABLE_AT).first())
        yield first.select(*keys, TS, AVAILABLE_AT, pl.lit(1, pl.Int64).alias(one.name))
        return
    spans = spans.with_columns((pl.col(TS) + _just_over(one.window)).alias("__end"))
    spans = spans.filter(start < end).sort(AVAILABLE_AT)
    spans = spans.with_columns(end.cum_max().shift(1).over(group).alias("__reach"))
    spans = spans.filter(reach.is_null() | (end > reach))
    spans = spans.with_columns(pl.max_horizontal(start, reach).alias(AVAILABLE_AT))
    yield spans.select(*keys, TS, AVAILABLE_AT, pl.lit(1, pl.Int64).alias(one.name))
    yield spans.select(*keys, end.alias(AVAILABLE_AT), pl.lit(-1, pl.Int64).alias(one.name))


def _at_one_moment(one: Aggregate) -> pl.Expr:
    if one.how is How.FIRST:
        return pl.col(one.name).min()
    return pl.col(one.name).max() if one.how is How.LAST else pl.col(one.name).sum()


def _running(one: Aggregate, origin: datetime) -> pl.Expr:
    column = pl.col(one.name)
    if one.how is How.FIRST:
        return column.cum_min().forward_fill()
    if one.how is How.LAST:
        return column.cum_max().forward_fill()
    if one.half_life is None:
        return column.cum_sum()
    since = _half_lives(pl.col(AVAILABLE_AT), origin, one.half_life)
    return column.cum_sum() * half_lives_to_weight(since)


def _half_lives(time: pl.Expr, origin: datetime, half_life: timedelta) -> pl.Expr:
    return (time - pl.lit(origin)).dt.total_microseconds() / (half_life / timedelta(microseconds=1))


def _just_over(window: timedelta) -> timedelta:
    # An event of exactly the window's age still counts.
    return window + timedelta(microseconds=1)


def _origin(view: FeatureView, events: pl.LazyFrame) -> datetime:
    """First event time, the zero of the decay; refuses spans that float64 cannot weigh."""
    first, last = (
        events.select(pl.col(TS).min().alias("first"), pl.col(AVAILABLE_AT).max().alias("last"))
        .collect()
        .row(0)
    )
    if first is None:
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    shortest = min((one.half_life for one in view.aggregates if one.half_life), default=None)
    if shortest and last - first > MAX_HALF_LIVES * shortest:
        raise DataError(
            f"{view.name}: the data span {last - first}, more than {MAX_HALF_LIVES} half-lives "
            f"of {shortest}; accepted: a shorter window of data"
        )
    return first  # type: ignore[no-any-return]
