"""Session files as a window of the log, so that the product's own training learns from them.

The files have an order and no clock: the training file is taken to last 100 days, each session to
begin one even step after the one before it, each click to take a millisecond.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from recommender.errors import DataError
from recommender.query import Interaction, Query
from recommender.terms import EVENT_CODES, VIEW_ITEM
from training.dataset import moment
from training.engine import EventWindow, Period

START = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
DAY = 86_400_000_000
LENGTH = 100 * DAY
CLICK = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions of a test file.

    Parameters
    ----------
    queries
        One per row of the file.
    targets
        The item that came next in each.
    """

    queries: tuple[Query, ...]
    targets: tuple[str, ...]


def read_window(path: Path, workspace: Path) -> EventWindow:
    """The training file as a window. Raises `DataError` where it is not of the form."""
    rows = _read(path, "session_id", "position", "item_id").sort("session_id", "position")
    if rows.is_empty():
        raise DataError(f"{path} holds no clicks")
    item_ids = rows["item_id"].cast(pl.String).unique().sort().to_list()
    items = pl.DataFrame(
        {"item": item_ids, "item_idx": pl.Series(range(len(item_ids)), dtype=pl.Int32)}
    )
    session = (rows["session_id"].diff().fill_null(0) != 0).cum_sum().cast(pl.Int64)
    step = LENGTH // (int(session[-1]) + 1)
    within = pl.int_range(pl.len()).over("session")
    events = (
        rows.with_columns(session=session, item=pl.col("item_id").cast(pl.String))
        .join(items, on="item", maintain_order="left")
        .with_columns(ts=START + pl.col("session") * step + within * CLICK)
        .select(
            shopper_idx=pl.col("session").cast(pl.Int32),
            item_idx="item_idx",
            event_code=pl.lit(EVENT_CODES[VIEW_ITEM], pl.Int32),
            ts="ts",
            available_at="ts",
            session="session",
            step=pl.int_range(pl.len(), dtype=pl.Int64),
            price=pl.lit(None, pl.Float64),
        )
    )
    target = workspace / "clicks.parquet"
    events.write_parquet(target)
    last = events["ts"].max()
    end = max(START + LENGTH, int(last) + 1) if isinstance(last, int) else START + LENGTH
    shoppers = tuple(f"{number:09d}" for number in range(int(session[-1]) + 1))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    counts = {"read": len(rows), "kept": len(events)}
    return EventWindow(target, Period(START, end), tuple(item_ids), shoppers, digest, counts)


def read_questions(path: Path, at: int, limit: int, placement: str) -> Asked:
    """The questions of a test file, asked at `at` (microseconds): prefix → target.

    Raises
    ------
    DataError
        The file is not of the form, or holds no question.
    """
    rows = _read(path, "query_id", "prefix", "target").sort("query_id")
    if rows.is_empty():
        raise DataError(f"{path} holds no questions")
    queries = tuple(
        _query([str(item) for item in prefix], at, limit, placement)
        for prefix in rows["prefix"].to_list()
    )
    return Asked(queries, tuple(str(item) for item in rows["target"].to_list()))


def _query(prefix: list[str], at: int, limit: int, placement: str) -> Query:
    begin = at - CLICK * len(prefix)
    clicks = (
        Interaction(item_id, VIEW_ITEM, begin + number * CLICK)
        for number, item_id in enumerate(prefix)
    )
    return Query(at=moment(at), placement=placement, limit=limit, session=tuple(clicks))


def _read(path: Path, *columns: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, columns=list(columns))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: {error}; accepted: Parquet with {', '.join(columns)}") from error
