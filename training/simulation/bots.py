"""Crawlers: they walk the category lists item by item at a steady beat and never buy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender import terms
from recommender.terms import Int32Array, Int64Array
from training.simulation.behaviour import Draw, Page
from training.simulation.chance import Keys, derive, uniform
from training.simulation.demand import DAY_MICROS
from training.simulation.recorder import EventChunk
from training.simulation.shoppers import Shoppers
from training.simulation.stock import Shelf
from training.simulation.visits import SILENCE_MICROS, SessionTruth

_CRAWL = 4_000_000


@dataclass(frozen=True, slots=True)
class BotSpec:
    """How crawlers crawl.

    Parameters
    ----------
    visits_per_day
        Probability of a crawl on a day.
    views
        Fewest and most items of a crawl.
    beat_seconds
        Shortest and longest steady gap between two items.
    """

    visits_per_day: float = 0.05
    views: tuple[int, int] = (20, 80)
    beat_seconds: tuple[float, float] = (3.0, 9.0)


@dataclass(frozen=True, slots=True)
class Crawls:
    """Crawls of one day: their events and their truth."""

    chunk: EventChunk
    truth: SessionTruth


def crawl(
    shoppers: Shoppers,
    shelf: Shelf,
    spec: BotSpec,
    when: tuple[int, int, int],
) -> Crawls:
    """Let the bots of a day crawl.

    Parameters
    ----------
    when
        Day of the simulation, its beginning in microseconds since the epoch, and the number of its
        first crawl.
    """
    day, midnight, first_number = when
    bots: Int32Array = np.flatnonzero(shoppers.is_bot).astype(np.int32)
    keys = derive(derive(shoppers.keys[bots], _CRAWL), day)
    draws = uniform(keys, Draw.BOT, 5)
    active = draws[:, 0] < spec.visits_per_day
    bots, draws, keys = bots[active], draws[active], keys[active]
    fewest, most = spec.views
    length = fewest + np.floor(draws[:, 1] * (most - fewest + 1)).astype(np.int64)
    start = midnight + np.floor(draws[:, 2] * DAY_MICROS).astype(np.int64)
    start = np.maximum(start, shoppers.free_at[bots])
    shortest, longest = spec.beat_seconds
    beat = ((shortest + (longest - shortest) * draws[:, 3]) * 1e6).astype(np.int64)
    shoppers.visits[bots, 0] += 1
    shoppers.free_at[bots] = start + length * beat + SILENCE_MICROS
    order = shelf.whole
    first = np.floor(draws[:, 4] * len(order)).astype(np.int64)
    chunk = _events(shoppers, bots, (length, start, beat), order, first)
    numbers = np.arange(first_number, first_number + len(bots), dtype=np.int64)
    return Crawls(chunk, _truth(shoppers, bots, numbers, (day, start, length), keys))


def _events(
    shoppers: Shoppers,
    bots: Int32Array,
    timing: tuple[Int64Array, Int64Array, Int64Array],
    order: Int32Array,
    first: Int64Array,
) -> EventChunk:
    length, start, beat = timing
    row = np.repeat(np.arange(len(bots)), length)
    step = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    n = len(row)
    return EventChunk(
        event_type=terms.VIEW_ITEM,
        shopper=bots[row],
        device=np.zeros(n, np.int32),
        visit=shoppers.visits[bots, 0][row],
        sequence=step.astype(np.int32),
        ts=start[row] + step * beat[row],
        items=order[(first[row] + step) % len(order)][:, None],
        placement=np.full(n, -1, np.int8),
        page=np.full(n, Page.ITEM, np.int8),
        logged_in=np.zeros(n, np.bool_),
    )


def _truth(
    shoppers: Shoppers,
    bots: Int32Array,
    numbers: Int64Array,
    walk: tuple[int, Int64Array, Int64Array],
    keys: Keys,
) -> SessionTruth:
    day, start, length = walk
    none = np.full(len(keys), -1, np.int8)
    return SessionTruth(
        number=numbers,
        shopper=bots,
        device=np.zeros(len(bots), np.int32),
        visit=shoppers.visits[bots, 0],
        day=np.full(len(bots), day, np.int32),
        started=start,
        pace=none,
        entry=np.full(len(bots), Page.ITEM, np.int8),
        need_kind=none,
        need_leaf=np.full(len(bots), -1, np.int32),
        need_item=np.full(len(bots), -1, np.int32),
        willing=np.zeros(len(bots), np.bool_),
        pages=length.astype(np.int32),
        interactions=length.astype(np.int32),
        reason=none,
    )
