from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from feature_store.content import Content, content_digest

FRAME = pl.DataFrame(
    {
        "text": ["ab", "c", None, "é"],
        "number": [1.5, None, 0.0, -2.0],
        "count": [1, 2, 3, None],
        "flag": [True, False, None, True],
        "ts": [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)],
        "nothing": pl.Series([None] * 4, dtype=pl.String),
    }
)


def test_equal_values_give_equal_digests_however_they_lie_in_memory():
    rechunked = pl.concat([FRAME[:1], FRAME[1:]], rechunk=False)
    assert content_digest(rechunked) == content_digest(FRAME)


def test_a_range_has_the_digest_of_its_slice():
    content = Content(FRAME)
    assert content.digest(1, 3) == content_digest(FRAME[1:3])
    assert content.digest(2, 2) == content_digest(FRAME.clear())


@pytest.mark.parametrize(
    "change",
    [
        pl.col("text").replace({"ab": "a"}),
        # The same bytes in a row, divided elsewhere.
        pl.Series("text", ["a", "bc", None, "é"]),
        pl.col("text").fill_null(""),
        pl.col("number").fill_null(0.0),
        pl.col("flag").fill_null(value=False),
        pl.col("count").cast(pl.Int32),
        pl.col("ts").dt.offset_by("1us"),
        pl.col("nothing").fill_null(""),
        pl.col("number").reverse(),
    ],
)
def test_any_other_value_type_or_order_changes_the_digest(change: pl.Expr):
    assert content_digest(FRAME.with_columns(change)) != content_digest(FRAME)


def test_a_column_name_counts():
    assert content_digest(FRAME.rename({"text": "words"})) != content_digest(FRAME)


def test_the_digest_is_stable_across_versions():
    """Lineage compares digests of different days and machines: this one must never change."""
    frame = pl.DataFrame({"text": ["a", None], "number": [1.0, 2.0]})
    expected = "646ac4adec1f96b562d2f6587937717948b85ff2424243415ffc47e0dc4f38fb"
    assert content_digest(frame) == expected
