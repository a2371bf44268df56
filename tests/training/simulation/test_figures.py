from __future__ import annotations

import polars as pl
import pytest

from recommender.terms import ADD_TO_CART, PURCHASE, VIEW_ITEM
from training.simulation.figures import (
    behaviour_figures,
    popularity_figures,
    repeat_buyers,
    return_figures,
    rounded,
)

SECOND = 1_000_000
DAY = 86_400 * SECOND


def log_of(*rows: tuple[str, str, str, float]) -> pl.DataFrame:
    """Rows of (visitor, item, event type, seconds)."""
    return pl.DataFrame(
        [(visitor, item, kind, int(at * SECOND)) for visitor, item, kind, at in rows],
        schema={
            "visitor": pl.String,
            "item": pl.String,
            "event_type": pl.String,
            "ts": pl.Int64,
        },
        orient="row",
    )


LOG = log_of(
    ("a", "x", VIEW_ITEM, 0),
    ("a", "y", VIEW_ITEM, 10),
    ("a", "x", VIEW_ITEM, 30),
    ("a", "x", ADD_TO_CART, 60),
    ("a", "x", PURCHASE, 100),
    ("a", "z", VIEW_ITEM, 100 + 1800),
    ("b", "x", VIEW_ITEM, 5),
    ("b", "x", VIEW_ITEM, 25),
    ("c", "x", "search", 7),
)


def test_a_log_counted_by_hand() -> None:
    figures = behaviour_figures(LOG)
    assert figures["carts_per_view"] == pytest.approx(1 / 6)
    assert figures["purchases_per_view"] == pytest.approx(1 / 6)
    # Three sessions: five events, then one after half an hour of silence, then two of b.
    assert figures["sessions_with_cart"] == pytest.approx(1 / 3)
    assert figures["single_event_sessions"] == pytest.approx(1 / 3)
    assert figures["session_mean"] == pytest.approx(8 / 3)
    assert figures["longer_session_mean"] == pytest.approx(3.5)
    assert figures["events_per_visitor"] == pytest.approx(4.0)
    # Next views: y, x (seen before), x of b (just seen).
    assert figures["returns"] == pytest.approx(2 / 3)
    assert figures["returns_at_once"] == pytest.approx(1 / 3)
    # Gaps: 10, 20, 30, 40 and 20 seconds.
    assert figures["gap_seconds_p50"] == pytest.approx(20.0)
    assert figures["gap_seconds_p10"] == pytest.approx(14.0)


def test_order_of_the_rows_does_not_matter() -> None:
    assert behaviour_figures(LOG.reverse()) == behaviour_figures(LOG)


def test_popularity_of_equals_is_flat_and_of_one_favourite_is_steep() -> None:
    even = popularity_figures(pl.Series(["a", "b", "c", "d"] * 5))
    assert even["popularity_gini"] == pytest.approx(0.0)
    # Counts 1, 1, 1, 97: Gini is 2 (1 + 2 + 3 + 4 · 97) / (4 · 100) - 5 / 4.
    steep = popularity_figures(pl.Series(["a", "b", "c"] + ["d"] * 97))
    assert steep["popularity_gini"] == pytest.approx(2 * 394 / 400 - 1.25)
    assert steep["popularity_top_1_percent"] == pytest.approx(0.97)


def test_returns_count_within_a_session_only() -> None:
    views = pl.DataFrame({"session": [1, 1, 2, 2], "item": ["a", "b", "a", "a"]})
    assert return_figures(views) == {"returns": 0.5, "returns_at_once": 0.5}


def test_repeat_buyers_buy_on_another_day_of_the_window() -> None:
    bought = pl.DataFrame(
        {
            "visitor": ["a", "a", "b", "b", "c", "a", "c"],
            "ts": [0, 3 * DAY, DAY, DAY + 60 * SECOND, 2 * DAY, 12 * DAY, 19 * DAY],
        }
    )
    # Two windows of ten days: a of (a, b, c), then nobody of (a, c).
    assert repeat_buyers(bought, 10) == pytest.approx(1 / 5)
    # One of twenty: a and c of (a, b, c).
    assert repeat_buyers(bought, 20) == pytest.approx(2 / 3)
    assert repeat_buyers(bought, 60) is None
    assert repeat_buyers(bought.clear(), 10) is None


def test_an_empty_log_has_no_figures_above_zero() -> None:
    assert set(behaviour_figures(LOG.clear()).values()) == {0.0}


def test_figures_are_shown_with_four_digits() -> None:
    assert rounded({"a": 0.123456, "b": None, "c": 123456.0}) == {
        "a": 0.1235,
        "b": None,
        "c": 123500.0,
    }
