"""The same figures of real logs, and the band they span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.loaders.registry import find_format
from recommender import terms
from recommender.errors import DataError
from training.simulation.figures import (
    COLUMNS,
    behaviour_figures,
    longer_session_figures,
    popularity_figures,
    repeat_buyers,
    return_figures,
)

WIDENING: Final = 0.25
"""A band reaches this share beyond the smallest and the largest real figure."""

# Single views were dropped when this sample was made, so their share says nothing of the shop, and
# the lengths of all sessions are shifted; sessions of two events and more can be compared.
_LENGTHS: Final = ("single_event_sessions", "session_mean", "session_p90")


@dataclass(frozen=True, slots=True)
class RealLog:
    """A log with which a simulated one is compared.

    Parameters
    ----------
    name
        Column heading.
    path
        Below the folder of data sets.
    file_format
        Name of a loader, or ``"clicks"`` for Parquet with session_id, position and item_id.
    left_out
        Figures that this log cannot show.
    has_views
        False: purchases only.
    """

    name: str
    path: str
    file_format: str
    left_out: tuple[str, ...] = ()
    has_views: bool = True


REAL_LOGS: Final = (
    RealLog("REES46", "rees46_sample/events.csv", "rees46"),
    RealLog("RR sample", "retailrocket_sample/events.csv", "retailrocket", _LENGTHS),
    RealLog("RR clicks", "sessions/retailrocket/train.parquet", "clicks"),
    RealLog(
        "OnlineRetail",
        "online_retail_ii/transactions.parquet",
        "online-retail",
        has_views=False,
    ),
)


def real_figures(data: Path, window_days: int) -> dict[str, dict[str, float]]:
    """Measure every real log of a folder of data sets; figures that a log cannot show are missing.

    Parameters
    ----------
    data
        Folder with the paths of `REAL_LOGS`.
    window_days
        Length of the simulated log, for the repeat buyers.
    """
    return {log.name: _measure(log, data / log.path, window_days) for log in REAL_LOGS}


def bands(real: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Give the accepted range of each figure: what the real logs span, and `WIDENING` beyond."""
    names = dict.fromkeys(name for figures in real.values() for name in figures)
    spans = {name: [one[name] for one in real.values() if name in one] for name in names}
    return {
        name: (min(span) * (1.0 - WIDENING), max(span) * (1.0 + WIDENING))
        for name, span in spans.items()
    }


def _measure(log: RealLog, path: Path, window_days: int) -> dict[str, float]:
    if not path.exists():
        raise DataError(f"{path} does not exist; it is needed to compare with {log.name}")
    if log.file_format == "clicks":
        return _measure_clicks(path)
    rows = _read(log, path)
    figures = behaviour_figures(rows) if log.has_views else {}
    purchases = rows.filter(pl.col(terms.EVENT_TYPE) == terms.PURCHASE)
    repeat = repeat_buyers(purchases, window_days)
    if repeat is not None:
        figures["repeat_buyers"] = repeat
    return {name: value for name, value in figures.items() if name not in log.left_out}


def _read(log: RealLog, path: Path) -> pl.DataFrame:
    """The good rows that have an item."""
    parts = [
        batch.filter(pl.col("reject_reason").is_null() & pl.col(terms.ITEM_ID).is_not_null())
        .rename({terms.VISITOR_ID: "visitor", terms.ITEM_ID: "item"})
        .select(COLUMNS)
        for batch in find_format(log.file_format).batches(path)
    ]
    return pl.concat(parts)


def _measure_clicks(path: Path) -> dict[str, float]:
    clicks = pl.read_parquet(path).sort("session_id", "position")
    views = clicks.select(pl.col("session_id").alias("session"), pl.col("item_id").alias("item"))
    length = views.group_by("session").len()["len"]
    return (
        return_figures(views) | popularity_figures(views["item"]) | longer_session_figures(length)
    )
