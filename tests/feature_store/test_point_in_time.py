from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.point_in_time import TIMESTAMP, join_as_of
from recommender.errors import InvalidInputError

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def moment(minutes: float) -> datetime:
    return START + minutes * MINUTE


def labels_of(*rows: tuple[str | None, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {"shopper_id": [key for key, _ in rows], "ts": [moment(at) for _, at in rows]},
        schema={"shopper_id": pl.String, "ts": TIMESTAMP},
    )


def features_of(*rows: tuple[str | None, float, float, int]) -> pl.DataFrame:
    """Rows of key, minute it became true, minute it became known, value."""
    return pl.DataFrame(
        {
            "shopper_id": [row[0] for row in rows],
            "ts": [moment(row[1]) for row in rows],
            "available_at": [moment(row[2]) for row in rows],
            "value": [row[3] for row in rows],
        },
        schema={
            "shopper_id": pl.String,
            "ts": TIMESTAMP,
            "available_at": TIMESTAMP,
            "value": pl.Int64,
        },
    )


def values(
    labels: pl.DataFrame,
    features: pl.DataFrame,
    tolerance: timedelta | None = None,
    **options: object,
) -> list[int | None]:
    joined = join_as_of(labels, features, "shopper_id", tolerance, **options)  # type: ignore[call-overload]
    return joined["value"].to_list()  # type: ignore[no-any-return]


# ---- the traps of join_asof, one by one ----------------------------------------------------------


def test_a_label_taken_from_the_log_does_not_match_its_own_event() -> None:
    """Trap: ties. By default polars takes the right row of the same moment: a total leak."""
    events = features_of(*(("a", n, n, n) for n in range(1000)))
    labels = labels_of(*(("a", n) for n in range(1000)))
    naive = labels.join_asof(events, on="ts", by="shopper_id", check_sortedness=False)
    assert naive["value"].to_list() == list(range(1000)), "polars leaks no more: simplify the guard"
    assert values(labels, events) == [None, *range(999)]
    assert values(labels, events, allow_exact_matches=True) == list(range(1000))


def test_unsorted_input_gives_the_right_answer() -> None:
    """Trap: unsorted input with `by` is silently wrong in polars."""
    features = features_of(("a", 10, 10, 10), ("a", 1, 1, 1), ("a", 11, 11, 11), ("a", 9, 9, 9))
    labels = labels_of(("a", 12), ("a", 10.5))
    naive = labels.join_asof(features, on="ts", by="shopper_id", check_sortedness=False)
    assert naive["value"].to_list() != [11, 10], "polars sorts by itself now: simplify the guard"
    assert values(labels, features) == [11, 10]


def test_no_warning_about_sortedness_is_raised() -> None:
    """Trap: polars warns of unchecked order, right or not; warnings are errors here."""
    assert values(labels_of(("a", 2)), features_of(("a", 1, 1, 1))) == [1]


def test_of_duplicate_rows_the_latest_then_the_last_counts() -> None:
    """Trap: polars takes the last of equal rows, other engines the first."""
    features = features_of(("a", 1, 3, 1), ("a", 2, 3, 2), ("a", 2, 3, 3), ("a", 0, 3, 0))
    assert values(labels_of(("a", 4)), features) == [3]


def test_a_value_that_had_not_arrived_is_not_known() -> None:
    """Trap: a join on event time sees values that arrived later."""
    features = features_of(("a", 0, 0, 1), ("a", 15, 240, 2))
    assert values(labels_of(("a", 30), ("a", 239), ("a", 241)), features) == [1, 1, 2]


def test_a_late_and_outdated_value_does_not_replace_a_newer_one() -> None:
    """Trap: a join on arrival time alone gives the stale value that arrived last."""
    features = features_of(("a", 0, 0, 1), ("a", 15, 240, 2), ("a", 60, 60, 3))
    assert values(labels_of(("a", 30), ("a", 61), ("a", 300)), features) == [1, 3, 3]


@pytest.mark.parametrize("wrong", [pl.Datetime("ms", "UTC"), pl.Datetime("us"), pl.Int64])
@pytest.mark.parametrize("side", ["labels", "features"])
@pytest.mark.parametrize("column", ["ts", "available_at"])
def test_other_time_types_are_refused(wrong: pl.DataType, side: str, column: str) -> None:
    """Trap: units and zones differ between writers."""
    labels, features = labels_of(("a", 2)), features_of(("a", 1, 1, 1))
    if side == "features":
        features = features.with_columns(pl.col(column).cast(wrong))
    elif column == "ts":
        labels = labels.with_columns(pl.col(column).cast(wrong))
    else:
        return
    with pytest.raises(InvalidInputError, match=f"{side}: {column} is"):
        values(labels, features)


def test_other_key_types_are_refused() -> None:
    features = features_of(("1", 1, 1, 1)).with_columns(pl.col("shopper_id").cast(pl.Int32))
    with pytest.raises(InvalidInputError, match="key shopper_id: String in labels, Int32"):
        values(labels_of(("1", 2)), features)


def test_a_null_key_matches_nothing_not_even_another_null() -> None:
    """Trap: null keys."""
    features = features_of((None, 1, 1, 1), ("a", 1, 1, 2))
    assert values(labels_of((None, 2), ("a", 2), (None, 3)), features) == [None, 2, None]


@pytest.mark.parametrize("buckets", [None, 1, 3, 16])
def test_labels_keep_their_order_and_number(buckets: int | None) -> None:
    """Trap: left order."""
    rng = random.Random(5)
    rows = [(f"k{rng.randrange(20)}", float(rng.randrange(500))) for _ in range(300)]
    features = features_of(*((f"k{n % 20}", n, n, n) for n in range(500)))
    labels = labels_of(*rows, *rows[:10]).with_columns(extra=pl.int_range(pl.len()))
    joined = join_as_of(labels, features, "shopper_id", bucket_count=buckets)
    assert joined.select(labels.columns).equals(labels)
    assert joined.columns == [*labels.columns, "feature_ts", "feature_available_at", "value"]
    assert joined.equals(join_as_of(labels, features, "shopper_id"))


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_frames_of_either_engine_are_joined_alike(engine: str) -> None:
    """Trap: streaming does not save memory here; buckets do, and must not change the answer."""
    rng = random.Random(8)
    features = features_of(
        *((f"k{rng.randrange(9)}", n, n + rng.randrange(90), n) for n in range(400))
    )
    labels = labels_of(*((f"k{rng.randrange(9)}", float(n)) for n in range(400)))
    with pl.Config() as config:
        config.set_engine_affinity(engine)  # type: ignore[arg-type]
        joined = join_as_of(labels.lazy(), features.lazy(), "shopper_id", bucket_count=5)
        assert joined.collect().equals(join_as_of(labels, features, "shopper_id"))
    assert joined.collect()["value"].null_count() < 100


def test_lazy_frames_give_lazy_frames() -> None:
    labels, features = labels_of(("a", 2)), features_of(("a", 1, 1, 1))
    lazy = join_as_of(labels.lazy(), features.lazy(), ["shopper_id"], bucket_count=4)
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect().equals(join_as_of(labels, features, "shopper_id"))


# ---- further rules -------------------------------------------------------------------------------


def test_the_time_to_live_counts_from_when_the_value_became_true() -> None:
    features = features_of(("a", 0, 50, 1))
    labels = labels_of(("a", 60), ("a", 60.1))
    assert values(labels, features, timedelta(minutes=60)) == [1, None]


def test_several_keys_and_no_features() -> None:
    labels = labels_of(("a", 2), ("b", 2)).with_columns(item_id=pl.lit("i"))
    features = features_of(("a", 1, 1, 1)).with_columns(item_id=pl.lit("i"))
    keys = ["shopper_id", "item_id"]
    assert join_as_of(labels, features, keys)["value"].to_list() == [1, None]
    assert join_as_of(labels, features.clear(), keys)["value"].to_list() == [None, None]
    assert join_as_of(labels.clear(), features, keys, bucket_count=3).is_empty()


@pytest.mark.parametrize(
    ("labels", "features", "message"),
    [
        (labels_of(("a", 1)).drop("ts"), features_of(), r"labels have no column \['ts'\]"),
        (labels_of(), features_of().drop("available_at"), "features have no column"),
        (labels_of().drop("shopper_id"), features_of(), "labels have no column"),
        (labels_of().with_columns(value=1), features_of(), "both have"),
        (labels_of().with_columns(feature_ts=1), features_of(), "both have"),
        (labels_of(("a", 1)).with_columns(ts=pl.lit(None, TIMESTAMP)), features_of(), "1 label"),
        (labels_of(), features_of(("a", 2, 1, 1)), "available_at before ts"),
    ],
)
def test_frames_of_another_shape_are_refused(
    labels: pl.DataFrame, features: pl.DataFrame, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        values(labels, features)


def test_a_bucket_count_below_one_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="bucket_count=0"):
        values(labels_of(), features_of(), bucket_count=0)


# ---- against the plain words ---------------------------------------------------------------------


keys = st.sampled_from(["a", "b", None])
minutes = st.integers(0, 12).map(float)


def plain(
    labels: list[tuple[str | None, float]],
    features: list[tuple[str | None, float, float, int]],
    tolerance: float | None,
    *,
    exact: bool,
) -> list[int | None]:
    """Of all rows of the key known before the label the one that became true last."""
    answers: list[int | None] = []
    for key, at in labels:
        known = [
            (true_at, known_at, place, value)
            for place, (other, true_at, known_at, value) in enumerate(features)
            if other == key and key is not None and (known_at <= at if exact else known_at < at)
        ]
        best = max(known, default=None)
        fresh = best is not None and (tolerance is None or at - best[0] <= tolerance)
        answers.append(best[3] if best is not None and fresh else None)
    return answers


@settings(max_examples=300)
@given(
    st.lists(st.tuples(keys, minutes), max_size=12),
    st.lists(st.tuples(keys, minutes, st.integers(0, 4)), max_size=14),
    st.none() | st.integers(0, 8).map(float),
    st.booleans(),
    st.sampled_from([None, 2, 5]),
)
def test_it_agrees_with_the_plain_words(
    labels: list[tuple[str | None, float]],
    rows: list[tuple[str | None, float, int]],
    tolerance: float | None,
    exact: bool,
    buckets: int | None,
) -> None:
    features = [(key, at, at + delay, number) for number, (key, at, delay) in enumerate(rows)]
    joined = values(
        labels_of(*labels),
        features_of(*features),
        None if tolerance is None else tolerance * MINUTE,
        allow_exact_matches=exact,
        bucket_count=buckets,
    )
    assert joined == plain(labels, features, tolerance, exact=exact)
