"""What follows a purchase days later: refunds from the back office, and reviews."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from recommender import terms
from recommender.terms import Float64Array, Int64Array
from training.simulation.behaviour import Draw
from training.simulation.catalogue import Catalogue
from training.simulation.chance import derive, normal, uniform
from training.simulation.demand import DAY_MICROS
from training.simulation.purchase import Orders
from training.simulation.recorder import EventChunk
from training.simulation.shoppers import Shoppers

_AFTER = 3_000_000
REFUND_SEQUENCE = 1_000_000
"""Numbers of events after a visit begin here and never meet those of the visit itself."""
INTERVAL_SPREAD = 0.15
"""Logarithmic spread of the time in which a consumable is used up."""


@dataclass(frozen=True, slots=True)
class AftermathSpec:
    """How often, and when.

    Parameters
    ----------
    refund, review
        Probability per order line of being sent back, and of being reviewed.
    dear
        Added to `refund` for an item one leaf-spread dearer than its leaf's median price.
    days
        Earliest and latest day after the purchase.
    """

    refund: float = 0.04
    review: float = 0.03
    dear: float = 0.03
    days: tuple[float, float] = (3.0, 14.0)


@dataclass(slots=True)
class Aftermath:
    """Events that are to come, by day of the simulation."""

    catalogue: Catalogue
    spec: AftermathSpec
    _due: dict[int, list[EventChunk]] = field(default_factory=lambda: defaultdict(list))

    def plan(self, orders: Orders, shoppers: Shoppers, midnight: int, day: int) -> None:
        """Decide what will follow these orders.

        Parameters
        ----------
        midnight
            Beginning of `day`, microseconds since the epoch.
        """
        rows, columns = np.nonzero(orders.quantity)
        keys = derive(
            derive(shoppers.keys[orders.shopper[rows]], _AFTER), orders.ts[rows] + columns
        )
        draws = uniform(keys, Draw.AFTERMATH, 4)
        item = orders.items[rows, columns]
        dear = np.maximum(self.catalogue.price_position[item], 0.0)
        first, last = self.spec.days
        wait = ((first + (last - first) * draws[:, 2]) * DAY_MICROS).astype(np.int64)
        refunded = draws[:, 0] < self.spec.refund + self.spec.dear * dear
        reviewed = ~refunded & (draws[:, 1] < self.spec.review)
        for event_type, chosen in ((terms.REFUND, refunded), (terms.REVIEW, reviewed)):
            picked = np.flatnonzero(chosen)
            lines = (rows[picked], columns[picked])
            self._schedule(_chunk(event_type, orders, lines, wait[picked]), midnight, day)

    def of_day(self, day: int) -> list[EventChunk]:
        """Give the events of a day; they are not given again."""
        return self._due.pop(day, [])

    def _schedule(self, chunk: EventChunk, midnight: int, day: int) -> None:
        days = day + (chunk.ts - midnight) // DAY_MICROS
        for one in np.unique(days).tolist():
            rows = np.flatnonzero(days == one)
            self._due[one].append(take_rows(chunk, rows))


def run_out_days(
    orders: Orders, catalogue: Catalogue, shoppers: Shoppers, day: int
) -> tuple[Int64Array, Int64Array, Float64Array]:
    """Order lines of consumables: row, column and the day on which they are used up.

    interval of the leaf · units^0.5 · log-normal: more units last longer, but are used more freely.
    """
    interval = catalogue.interval_days[catalogue.leaf[orders.items]]
    rows, columns = np.nonzero((orders.quantity > 0) & (interval > 0))
    keys = derive(derive(shoppers.keys[orders.shopper[rows]], _AFTER), orders.ts[rows] + columns)
    spread = np.exp(INTERVAL_SPREAD * normal(keys, Draw.QUANTITY))
    units = orders.quantity[rows, columns]
    return rows, columns, day + interval[rows, columns] * np.sqrt(units) * spread


def _chunk(
    event_type: str, orders: Orders, lines: tuple[Int64Array, Int64Array], wait: Int64Array
) -> EventChunk:
    rows, columns = lines
    is_refund = event_type == terms.REFUND
    n = len(rows)
    return EventChunk(
        event_type=event_type,
        shopper=orders.shopper[rows],
        device=orders.device[rows],
        visit=orders.visit[rows],
        sequence=(REFUND_SEQUENCE + orders.order[rows] * 16 + columns).astype(np.int32),
        ts=orders.ts[rows] + wait,
        items=orders.items[rows, columns][:, None],
        placement=np.full(n, -1, np.int8),
        page=np.full(n, -1, np.int8),
        logged_in=np.zeros(n, np.bool_),
        quantity=orders.quantity[rows, columns][:, None] if is_refund else None,
        order=orders.order[rows] if is_refund else None,
        in_session=False,
    )


def take_rows(chunk: EventChunk, rows: Int64Array) -> EventChunk:
    """Give the chosen rows of a chunk."""
    return replace(
        chunk,
        shopper=chunk.shopper[rows],
        device=chunk.device[rows],
        visit=chunk.visit[rows],
        sequence=chunk.sequence[rows],
        ts=chunk.ts[rows],
        items=chunk.items[rows],
        placement=chunk.placement[rows],
        page=chunk.page[rows],
        logged_in=chunk.logged_in[rows],
        quantity=None if chunk.quantity is None else chunk.quantity[rows],
        recommendation_id=(
            None if chunk.recommendation_id is None else chunk.recommendation_id[rows]
        ),
        order=None if chunk.order is None else chunk.order[rows],
        search=None if chunk.search is None else chunk.search[rows],
    )
