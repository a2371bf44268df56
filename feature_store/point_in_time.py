"""Features as they were known at the moment of each label: one guarded function around `join_asof`.

A plain `join_asof` on event time leaks in two ways. It takes rows of the label's own moment, so a
label taken from the log matches itself; and it takes rows that had not arrived yet. It is also
silently wrong on unsorted input with ``by=``. Here the join is on arrival time (`available_at`),
strict by default, over rows whose event time is the latest so far for their key: a value that
arrives late and is already outdated never replaces a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import overload

import polars as pl

from recommender.errors import InvalidInputError
from recommender.terms import AVAILABLE_AT, TS

TIMESTAMP = pl.Datetime("us", "UTC")
FEATURE_TS, FEATURE_AVAILABLE_AT = "feature_ts", "feature_available_at"
_PLACE, _BUCKET = "__place", "__bucket"


@overload
def join_as_of(
    labels: pl.DataFrame,
    features: pl.DataFrame | pl.LazyFrame,
    by: str | Sequence[str],
    tolerance: timedelta | None = None,
    *,
    allow_exact_matches: bool = False,
    bucket_count: int | None = None,
) -> pl.DataFrame: ...


@overload
def join_as_of(
    labels: pl.LazyFrame,
    features: pl.DataFrame | pl.LazyFrame,
    by: str | Sequence[str],
    tolerance: timedelta | None = None,
    *,
    allow_exact_matches: bool = False,
    bucket_count: int | None = None,
) -> pl.LazyFrame: ...


def join_as_of(
    labels: pl.DataFrame | pl.LazyFrame,
    features: pl.DataFrame | pl.LazyFrame,
    by: str | Sequence[str],
    tolerance: timedelta | None = None,
    *,
    allow_exact_matches: bool = False,
    bucket_count: int | None = None,
) -> pl.DataFrame | pl.LazyFrame:
    """Each label with the latest feature row known before it.

    Parameters
    ----------
    labels
        Columns `by` and ``ts``, Datetime(us, UTC), and any others. Kept row by row, in order.
    features
        Columns `by`, ``ts`` (when it became true), ``available_at`` (when it became known, never
        before ``ts``), both Datetime(us, UTC), and the features. Of several rows of a key that
        became known at the same moment the one with the latest ``ts`` counts, of those the last.
    by
        Key columns, of the same types on both sides. A null key matches nothing.
    tolerance
        Time to live: a row whose ``ts`` is longer than this before the label is not used.
    allow_exact_matches
        Also use what became known at the very moment of the label. False leaves out the event that
        the label was taken from.
    bucket_count
        Work through so many parts of the keys one after the other: memory falls, lazy inputs are
        read as many times. The streaming engine keeps both sides in memory for this join, so it
        does not help. None: all at once.

    Returns
    -------
    Frame of the kind of `labels`: its columns, ``feature_ts``, ``feature_available_at`` and the
    features, null where nothing was known.

    Raises
    ------
    InvalidInputError
        A column is missing, of another type, or clashes; a time is null; or ``available_at`` is
        before ``ts``.
    """
    keys = [by] if isinstance(by, str) else list(by)
    left, right = labels.lazy(), features.lazy()
    _check_columns(left.collect_schema(), right.collect_schema(), keys)
    left = left.with_row_index(_PLACE)
    right = right.rename({TS: FEATURE_TS, AVAILABLE_AT: FEATURE_AVAILABLE_AT})
    parts = [
        _join(one.collect(), other.collect(), keys, tolerance, exact=allow_exact_matches)
        for one, other in _buckets(left, right, keys, 1 if bucket_count is None else bucket_count)
    ]
    joined = pl.concat(parts).sort(_PLACE).drop(_PLACE)
    return joined if isinstance(labels, pl.DataFrame) else joined.lazy()


def latest_known(features: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Rows that were news when they arrived, in order of arrival, one per key and moment.

    `features` has the columns ``feature_ts`` and ``feature_available_at``.
    """
    features = _sorted(features, [FEATURE_AVAILABLE_AT, FEATURE_TS])
    is_news = pl.col(FEATURE_TS) == pl.col(FEATURE_TS).cum_max().over(keys)
    features = features.filter(is_news)
    # `join_asof` takes the last of equal rows, other engines the first: leave one.
    return features.unique([*keys, FEATURE_AVAILABLE_AT], keep="last", maintain_order=True)


def _join(
    labels: pl.DataFrame,
    features: pl.DataFrame,
    keys: list[str],
    tolerance: timedelta | None,
    *,
    exact: bool,
) -> pl.DataFrame:
    _check_times(labels, features)
    known = latest_known(features.drop_nulls(keys), keys)
    arrival = "__arrival"
    joined = _sorted(labels, [TS]).join_asof(
        known.with_columns(pl.col(FEATURE_AVAILABLE_AT).alias(arrival)),
        left_on=TS,
        right_on=arrival,
        by=keys,
        strategy="backward",
        allow_exact_matches=exact,
        coalesce=False,
        # Sorted above. With `by` polars cannot check and would warn whatever the order.
        check_sortedness=False,
    )
    joined = joined.drop(arrival)
    return joined if tolerance is None else _forget_older(joined, features, keys, tolerance)


def _forget_older(
    joined: pl.DataFrame, features: pl.DataFrame, keys: list[str], tolerance: timedelta
) -> pl.DataFrame:
    alive = pl.col(TS) - pl.col(FEATURE_TS) <= tolerance
    values = [name for name in features.columns if name not in keys]
    return joined.with_columns(pl.when(alive).then(pl.col(name)).alias(name) for name in values)


def _sorted(frame: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Frame in the order of the columns; a log written in time order is not sorted again."""
    order = frame.select(columns)
    key = order.to_series() if len(columns) == 1 else order.to_struct()
    in_order = key.is_sorted() if len(columns) == 1 else _is_sorted(order)
    return frame if in_order else frame.sort(columns, maintain_order=True)


def _is_sorted(order: pl.DataFrame) -> bool:
    first, second = (pl.col(name) for name in order.columns)
    step = (first > first.shift(1)) | ((first == first.shift(1)) & (second >= second.shift(1)))
    return bool(order.select(step.fill_null(value=True).all()).item())


def _buckets(
    labels: pl.LazyFrame, features: pl.LazyFrame, keys: list[str], count: int
) -> Iterator[tuple[pl.LazyFrame, pl.LazyFrame]]:
    if count < 1:
        raise InvalidInputError(f"bucket_count={count}; accepted: 1 or more")
    if count == 1:
        yield labels, features
        return
    place = pl.struct(keys).hash(seed=0) % count
    for number in range(count):
        yield labels.filter(place == number), features.filter(place == number)


def _check_columns(labels: pl.Schema, features: pl.Schema, keys: list[str]) -> None:
    _check_own_columns("labels", labels, keys, [TS])
    _check_own_columns("features", features, keys, [TS, AVAILABLE_AT])
    for key in keys:
        if labels[key] != features[key]:
            raise InvalidInputError(
                f"key {key}: {labels[key]} in labels, {features[key]} in features"
            )
    added = (set(features) - {*keys, TS, AVAILABLE_AT}) | {FEATURE_TS, FEATURE_AVAILABLE_AT}
    if clash := set(labels) & added:
        raise InvalidInputError(f"labels and features both have {sorted(clash)}; rename one")


def _check_own_columns(name: str, schema: pl.Schema, keys: list[str], times: list[str]) -> None:
    if lacking := [column for column in (*keys, *times) if column not in schema]:
        raise InvalidInputError(f"{name} have no column {lacking}; there are {schema.names()}")
    for column in times:
        if schema[column] != TIMESTAMP:
            raise InvalidInputError(f"{name}: {column} is {schema[column]}; accepted: {TIMESTAMP}")


def _check_times(labels: pl.DataFrame, features: pl.DataFrame) -> None:
    null_labels = labels[TS].null_count()
    null_features = features[FEATURE_TS].null_count() + features[FEATURE_AVAILABLE_AT].null_count()
    if null_labels or null_features:
        raise InvalidInputError(
            f"{null_labels} label times and {null_features} feature times are null; accepted: none"
        )
    early = features.filter(pl.col(FEATURE_AVAILABLE_AT) < pl.col(FEATURE_TS)).height
    if early:
        raise InvalidInputError(
            f"{early} feature rows have available_at before ts: nothing is known before it happens"
        )
