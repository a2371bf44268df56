"""Figures of a log that say what kind of shop it comes from, real or simulated.

Only views, carts and purchases count, because the published logs hold nothing else. Sessions are
cut anew at 30 minutes of silence, whatever the log says, so that all logs are measured alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from recommender import terms

SESSION_GAP_SECONDS: Final = 1800
COUNTED: Final = (terms.VIEW_ITEM, terms.ADD_TO_CART, terms.PURCHASE)
COLUMNS: Final = ("visitor", "item", terms.EVENT_TYPE, terms.TS)

_SESSION, _RANK = "session", "rank"


def behaviour_figures(rows: pl.DataFrame) -> dict[str, float]:
    """Measure a log of views, carts and purchases.

    Parameters
    ----------
    rows
        One row per event and item: ``visitor``, ``item`` (any type that compares), ``event_type``
        and ``ts`` (Datetime or microseconds). Rows of other types are left out.

    Returns
    -------
    dict[str, float]
        See docs/simulation.md for the meaning of each.
    """
    sessions = cut_sessions(rows.filter(pl.col(terms.EVENT_TYPE).is_in(COUNTED)))
    views = sessions.filter(pl.col(terms.EVENT_TYPE) == terms.VIEW_ITEM)
    return (
        _funnel(sessions)
        | _lengths(sessions)
        | return_figures(views.select(_SESSION, "item"))
        | popularity_figures(views["item"])
        | _gaps(sessions)
    )


def cut_sessions(rows: pl.DataFrame) -> pl.DataFrame:
    """Order by visitor and time, number the ``session``, and give the ``gap`` in seconds."""
    ordered = rows.with_columns(pl.col(terms.TS).to_physical()).sort(
        "visitor", terms.TS, maintain_order=True
    )
    same = pl.col("visitor") == pl.col("visitor").shift(1)
    gap = (pl.col(terms.TS) - pl.col(terms.TS).shift(1)) / 1e6
    within = (same & (gap < SESSION_GAP_SECONDS)).fill_null(value=False)
    return ordered.with_columns(
        pl.when(within).then(gap).alias("gap"), (~within).cum_sum().alias(_SESSION)
    )


def _funnel(sessions: pl.DataFrame) -> dict[str, float]:
    kind = pl.col(terms.EVENT_TYPE)
    count = dict(sessions.group_by(kind).len().iter_rows())
    per_session = sessions.group_by(_SESSION).agg(
        (kind == terms.ADD_TO_CART).any().alias("cart"),
        (kind == terms.PURCHASE).any().alias("purchase"),
    )
    views = max(count.get(terms.VIEW_ITEM, 0), 1)
    return {
        "carts_per_view": count.get(terms.ADD_TO_CART, 0) / views,
        "purchases_per_view": count.get(terms.PURCHASE, 0) / views,
        "sessions_with_cart": _mean(per_session["cart"]),
        "sessions_with_purchase": _mean(per_session["purchase"]),
    }


def _lengths(sessions: pl.DataFrame) -> dict[str, float]:
    length = sessions.group_by(_SESSION).len()["len"]
    per_visitor = sessions.group_by("visitor").len()["len"]
    return {
        "single_event_sessions": _mean(length == 1),
        "session_mean": _mean(length),
        "session_p90": _quantile(length, 0.9),
        "session_p99": _quantile(length, 0.99),
        "events_per_visitor": _mean(per_visitor),
        "events_per_visitor_p99": _quantile(per_visitor, 0.99),
    } | longer_session_figures(length)


def longer_session_figures(length: pl.Series) -> dict[str, float]:
    """Mean and 90th percentile of the length of sessions of two events and more."""
    longer = length.filter(length >= 2)
    return {"longer_session_mean": _mean(longer), "longer_session_p90": _quantile(longer, 0.9)}


def return_figures(views: pl.DataFrame) -> dict[str, float]:
    """Share of next views in a session that go to an item seen earlier, and to the one just seen.

    Parameters
    ----------
    views
        ``session`` and ``item``, in the order of time within each session.
    """
    ranked = views.with_columns(
        pl.int_range(pl.len()).over(_SESSION).alias(_RANK),
        pl.int_range(pl.len()).over(_SESSION, "item").alias("before"),
        (pl.col("item") == pl.col("item").shift(1).over(_SESSION)).alias("same"),
    ).filter(pl.col(_RANK) > 0)
    return {"returns": _mean(ranked["before"] > 0), "returns_at_once": _mean(ranked["same"])}


def popularity_figures(items: pl.Series) -> dict[str, float]:
    """Gini coefficient of the views of the items that were viewed, and the share of the top 1 %."""
    counts = np.sort(items.value_counts()["count"].to_numpy()).astype(np.float64)
    n, total = len(counts), counts.sum()
    if not n:
        return {"popularity_gini": 0.0, "popularity_top_1_percent": 0.0}
    top = counts[-max(1, n // 100) :].sum()
    rank = np.arange(1, n + 1)
    gini = 2.0 * (rank * counts).sum() / (n * total) - (n + 1) / n
    return {"popularity_gini": float(gini), "popularity_top_1_percent": float(top / total)}


def _gaps(sessions: pl.DataFrame) -> dict[str, float]:
    gap = sessions["gap"].drop_nulls()
    return {f"gap_seconds_p{percent}": _quantile(gap, percent / 100) for percent in (10, 50, 90)}


def repeat_buyers(purchases: pl.DataFrame, window_days: int) -> float | None:
    """Share of the buyers of a window who bought on two days or more in it.

    Over all windows of the log of which it covers at least half.

    Parameters
    ----------
    purchases
        ``visitor`` and ``ts`` of purchases.

    Returns
    -------
    None when the log covers less than half a window.
    """
    day = purchases.select(
        "visitor", day=pl.col(terms.TS).to_physical() // (86_400 * 1_000_000)
    ).unique()
    if not day.height:
        return None
    first, last = day["day"].min(), day["day"].max()
    windows = round((int(last) - int(first) + 1) / window_days)  # type: ignore[arg-type]
    window = (pl.col("day") - first) // window_days
    counted = day.filter(window < windows).group_by("visitor", window.alias("window")).len()
    return _mean(counted["len"] > 1) if counted.height else None


def rounded(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """Four significant digits, for people and for stable files."""
    return {
        name: None if value is None else float(f"{value:.4g}") for name, value in figures.items()
    }


def _mean(values: pl.Series) -> float:
    mean = values.cast(pl.Float64).mean()
    return float(mean) if isinstance(mean, float) else 0.0


def _quantile(values: pl.Series, share: float) -> float:
    quantile = values.quantile(share, interpolation="linear")
    return 0.0 if quantile is None else float(quantile)
