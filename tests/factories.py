"""Small logs whose right answers are known by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from feature_store.day_table import write_days
from feature_store.layout import StoreLayout
from feature_store.tables import ROW_ORDER, STORED_SCHEMA
from recommender.terms import ADD_TO_CART, PURCHASE, VIEW_ITEM

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Did:
    """One row of the interactions table: somebody did something with one item.

    Parameters
    ----------
    ts, available_at
        Microseconds since the epoch; it arrives when it happens where nothing else is said.
    """

    shopper: str
    item: str | None
    ts: int
    event_type: str = VIEW_ITEM
    event_id: str = ""
    available_at: int | None = None
    price: float | None = None
    category: str | None = None
    transaction_id: str | None = None
    placement: str | None = None
    recommendation_id: str | None = None
    search_term: str | None = None


def write_log(root: Path, done: Sequence[Did]) -> StoreLayout:
    """A shop's tables holding these rows, given in any order."""
    layout = StoreLayout(root)
    rows = [_row(number, each) for number, each in enumerate(done)]
    frame = pl.DataFrame(rows, schema=STORED_SCHEMA, orient="row").sort(ROW_ORDER)
    write_days(layout, frame["ts"].dt.date().unique().sort().to_list(), frame)
    return layout


def checkerboard(shoppers: int = 40, items: int = 12, days: int = 60) -> list[Did]:
    """A shop like a checkerboard: shopper u deals with item i only if u + i is even.

    Every shopper visits each week, at an hour of their own, views three items of their colour in
    turn, carts two and buys one; the items come round, so that by the end each shopper has met
    each item of their colour. The right recommendation is an item of the shopper's colour. Items 0
    and 1 are looked at once more in each visit, so popularity has an order.
    """
    done = []
    for shopper in range(shoppers):
        own = [item for item in range(items) if (shopper + item) % 2 == 0]
        for week in range(days // 7):
            begin = START + week * 7 * DAY + (shopper % 7) * DAY + (shopper % 20) * HOUR
            turn = (shopper // 2 + 3 * week) % len(own)
            met = [own[(turn + step) % len(own)] for step in range(3)]
            done += _visit(shopper, [own[0], *met], begin)
    return done


def _visit(shopper: int, met: Sequence[int], begin: int) -> list[Did]:
    who = f"shopper-{shopper:02d}"
    steps = [(item, VIEW_ITEM) for item in met]
    steps += [(met[1], ADD_TO_CART), (met[2], ADD_TO_CART), (met[1], PURCHASE)]
    return [
        Did(
            who,
            f"item-{item:02d}",
            begin + number * MINUTE,
            event_type,
            f"{who}-{begin}-{number}",
            price=1.0 + item,
            category="white" if item % 2 else "black/squares",
        )
        for number, (item, event_type) in enumerate(steps)
    ]


def _row(number: int, did: Did) -> dict[str, object]:
    return dict.fromkeys(STORED_SCHEMA.names()) | {
        "event_id": did.event_id or f"event-{number:06d}",
        "item_position": 0,
        "event_type": did.event_type,
        "ts": did.ts,
        "available_at": did.ts if did.available_at is None else did.available_at,
        "visitor_id": did.shopper,
        "session_id": did.shopper,
        "item_id": did.item,
        "price": did.price,
        "category": did.category,
        "transaction_id": did.transaction_id,
        "placement": did.placement,
        "recommendation_id": did.recommendation_id,
        "search_term": did.search_term,
        "session_given": False,
    }
