"""What the ranker looks at: one row of numbers per candidate, the same code in training and serving.

Notation: c candidates, m *met* items (distinct items of the shopper's way so far, newest first, at
most `MAX_MET`), s neighbour sources. Missing numbers are NaN. The names of the columns say where
each number comes from; `FeatureMaker.names` has them in order:

=====================  ===========================================================================
``SOURCE.score``       what a source says of the candidate, 0 where it does not propose it
``SOURCE.share``       the same relative to the source's best candidate
``SOURCE.last`` …      weight of the candidate in the neighbour list of the item met last, and of the
                       ones before (``prev``, ``third``); ``max`` over all met items
``blend``, ``place``   the blended score and the 0-based place by it
``als.last``           cosine of the factors of candidate and item met last; ``als.way`` with the
                       decayed mean of all met items
``met.…``              how the shopper dealt with the candidate: ``lag`` in moments, ``order`` among the
                       distinct items, ``first_lag``, ``times``, ``views``, ``carts``, ``purchases``,
                       ``age`` and ``purchase_age`` in log seconds, ``in_cart``, ``in_visit``, how often it
                       ``followed`` the item met last before, its times ``fading`` by 0.9 and by 0.7
                       (``fading_fast``) a moment, and its ``rate``, times per moment since the first
``like.…``             share of the met items with its category, its brand; log price against theirs
``item.…``, ``last.…`` figures of the candidate, and of the item met last (`training.models.item_stats`)
``way.…``              the way so far: moments, items, returns, whether the last moment was a return or
                       a repetition, ages in log seconds, type of the last event, cart size
=====================  ===========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from recommender.catalogue import Catalogue
from recommender.compiled import kernel
from recommender.ranking import Proposed
from recommender.scratch import scratch
from recommender.seeds import PART_CODES, Seeds
from recommender.terms import (
    ADD_TO_CART,
    EVENT_CODES,
    PURCHASE,
    VIEW_ITEM,
    BoolArray,
    Float32Array,
    Int32Array,
)

MAX_MET: Final = 30
LAGS: Final = ("last", "prev", "third", "max")
MET: Final = [
    "lag",
    "order",
    "first_lag",
    "times",
    "views",
    "carts",
    "purchases",
    "age",
    "purchase_age",
    "in_cart",
    "in_visit",
    "followed",
    "fading",
    "fading_fast",
    "rate",
]
LIKE: Final = ("category", "brand", "price")
WAY: Final = [
    "moments",
    "items",
    "returns",
    "returned",
    "repeated",
    "last_times",
    "age",
    "visit_age",
    "visit_moments",
    "type",
    "cart",
    "pool",
]
_FAR = np.float32(99)
_WAY_DECAY = np.float32(0.75)
_VIEW, _CART, _PURCHASE = (EVENT_CODES[name] for name in (VIEW_ITEM, ADD_TO_CART, PURCHASE))


class Lists(NamedTuple):
    """The neighbour lists of all sources side by side, so that an item's are one piece of memory.

    Parameters
    ----------
    idx, weight
        int32 and float32 (items, width of all); padded with -1 and 0 within each source.
    bounds
        Columns of each source, int32 (s + 1,).
    """

    idx: Int32Array
    weight: Float32Array
    bounds: Int32Array


class Items(NamedTuple):
    """What is known of each item.

    Parameters
    ----------
    factors, norm
        Float32 (items, f) and (items,), see `recommender.candidates.als`.
    stats
        float32 (items, figures).
    category, brand
        int32 (items,), -1 where there is none.
    log_price
        float32 (items,), NaN where there is none.
    """

    factors: Float32Array
    norm: Float32Array
    stats: Float32Array
    category: Int32Array
    brand: Int32Array
    log_price: Float32Array


class Way(NamedTuple):
    """The shopper's way so far: one entry per event, oldest first, and per met item, newest first.

    Parameters
    ----------
    events
        Item of each event, int32 (n,).
    codes
        Event type of each, int32 (n,).
    ages
        Seconds before the moment of asking, float32 (n,).
    in_visit
        Part of the running visit or the page, bool (n,).
    met
        Distinct items, int32 (m,).
    lags
        Moments since each was met last, int32 (m,).
    cart
        Items in the cart, int32 (cart,).
    """

    events: Int32Array
    codes: Int32Array
    ages: Float32Array
    in_visit: BoolArray
    met: Int32Array
    lags: Int32Array
    cart: Int32Array


@dataclass(frozen=True, slots=True)
class FeatureMaker:
    """Computes the features over the arrays of one model.

    Parameters
    ----------
    sources
        All candidate sources of the model, sorted.
    neighbour_sources
        Those with neighbour lists, in the order of `lists`.
    stat_names
        Names of the columns of ``items.stats``.
    """

    sources: tuple[str, ...]
    neighbour_sources: tuple[str, ...]
    stat_names: tuple[str, ...]
    lists: Lists
    items: Items

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return (
            *(f"{source}.{part}" for source in self.sources for part in ("score", "share")),
            "blend",
            "place",
            *(f"{source}.{lag}" for source in self.neighbour_sources for lag in LAGS),
            "als.last",
            "als.way",
            *(f"met.{name}" for name in MET),
            *(f"like.{name}" for name in LIKE),
            *(f"{whose}.{name}" for whose in ("item", "last") for name in self.stat_names),
            *(f"way.{name}" for name in WAY),
        )

    def features(self, proposed: Proposed, seeds: Seeds) -> Float32Array:
        """One row per candidate: float32 (c, features), C-contiguous.

        The shopper must have met something; strangers have no ranker, but the ladder.
        """
        way = way_of(seeds)
        rows = np.zeros((len(proposed.item_idx), len(self.names)), np.float32)
        column = self._from_sources(rows, proposed)
        place = scratch("candidate_row", len(self.items.category), np.int32)
        _fill(
            rows,
            column,
            proposed.item_idx,
            np.float32(proposed.pool),
            way,
            self.lists,
            self.items,
            place,
        )
        return rows

    def _from_sources(self, rows: Float32Array, proposed: Proposed) -> int:
        for number, source in enumerate(proposed.sources):
            column = 2 * self.sources.index(source)
            rows[:, column] = proposed.scores[number]
            rows[:, column + 1] = proposed.shares[number]
        column = 2 * len(self.sources)
        rows[:, column] = proposed.blend
        rows[:, column + 1] = np.arange(len(rows))
        return column + 2


def way_of(seeds: Seeds) -> Way:
    """The way so far of seeds that are in the order of `recommender.pipeline`.

    What is in the cart is not a step of its own: it got there by one, and the page is the last one.
    Where nothing else is known, the cart is the way.
    """
    cart = seeds.of_part("cart")
    steps = seeds.of_part("history", "session", "context")
    if not len(steps):
        steps = cart
    met, lags = steps.distinct(MAX_MET)
    return Way(
        steps.item_idx,
        steps.event_codes,
        steps.ages,
        steps.parts != PART_CODES["history"],
        met,
        lags,
        cart.item_idx,
    )


def item_attributes(catalogue: Catalogue, factors: Float32Array, stats: Float32Array) -> Items:
    """What is known of each item, as the kernel wants it."""
    price = catalogue.item_price
    with np.errstate(divide="ignore", invalid="ignore"):
        log_price = np.where(price > 0, np.log(price), np.float32(np.nan)).astype(np.float32)
    norm = np.sqrt(np.einsum("if,if->i", factors, factors)).astype(np.float32)
    return Items(
        np.ascontiguousarray(factors),
        norm,
        np.ascontiguousarray(stats),
        np.ascontiguousarray(catalogue.item_category),
        np.ascontiguousarray(catalogue.item_brand),
        log_price,
    )


@kernel
def _fill(
    rows: Float32Array,
    column: int,
    candidates: Int32Array,
    pool: float,
    way: Way,
    lists: Lists,
    items: Items,
    place: Int32Array,
) -> None:
    # `place` maps an item to its candidate's row plus one, so that it can stay zeroed between calls.
    for row in range(candidates.shape[0]):
        place[candidates[row]] = row + 1
    column = _from_lists(rows, column, way, lists, place)
    column = _from_factors(rows, column, candidates, way, items)
    column = _from_met(rows, column, way, place)
    column = _from_likeness(rows, column, candidates, way, items)
    column = _from_stats(rows, column, candidates, way, items)
    _from_way(rows, column, way, pool)
    for row in range(candidates.shape[0]):
        place[candidates[row]] = 0


@kernel
def _from_lists(rows: Float32Array, column: int, way: Way, lists: Lists, place: Int32Array) -> int:
    sources = lists.bounds.shape[0] - 1
    for number in range(sources):
        first = column + 4 * number
        for order in range(way.met.shape[0]):
            item = way.met[order]
            for entry in range(lists.bounds[number], lists.bounds[number + 1]):
                neighbour = lists.idx[item, entry]
                if neighbour < 0:
                    break
                row = place[neighbour] - 1
                if row < 0:
                    continue
                weight = lists.weight[item, entry]
                if order < 3:
                    rows[row, first + order] = weight
                rows[row, first + 3] = max(rows[row, first + 3], weight)
    return column + 4 * sources


@kernel
def _from_factors(
    rows: Float32Array, column: int, candidates: Int32Array, way: Way, items: Items
) -> int:
    width = items.factors.shape[1]
    mean = np.zeros(width, np.float32)
    strength = np.float32(1)
    for order in range(way.met.shape[0]):
        item = way.met[order]
        if items.norm[item] > 0:
            for f in range(width):
                mean[f] += strength * items.factors[item, f] / items.norm[item]
        strength *= _WAY_DECAY
    length = np.float32(0)
    for f in range(width):
        length += mean[f] * mean[f]
    last = way.met[0]
    for row in range(candidates.shape[0]):
        item = candidates[row]
        with_last, with_way = np.float32(0), np.float32(0)
        for f in range(width):
            with_last += items.factors[item, f] * items.factors[last, f]
            with_way += items.factors[item, f] * mean[f]
        if items.norm[item] > 0 and items.norm[last] > 0:
            rows[row, column] = with_last / (items.norm[item] * items.norm[last])
        if items.norm[item] > 0 and length > 0:
            rows[row, column + 1] = with_way / (items.norm[item] * np.sqrt(length))
    return column + 2


@kernel
def _from_met(rows: Float32Array, column: int, way: Way, place: Int32Array) -> int:
    for row in range(rows.shape[0]):
        for number in range(3):
            rows[row, column + number] = _FAR
        rows[row, column + 7] = np.nan
        rows[row, column + 8] = np.nan
    for order in range(way.met.shape[0]):
        row = place[way.met[order]] - 1
        if row >= 0:
            rows[row, column] = way.lags[order]
            rows[row, column + 1] = order
    events = way.events.shape[0]
    last = way.met[0]
    moments = 1
    for event in range(1, events):
        moments += way.ages[event] != way.ages[event - 1]
    moment = moments - 1
    for event in range(events):
        if event > 0 and way.ages[event] != way.ages[event - 1]:
            moment -= 1
        row = place[way.events[event]] - 1
        if row < 0:
            continue
        if rows[row, column + 3] == 0:
            rows[row, column + 2] = moment
        rows[row, column + 3] += 1
        age = np.log1p(way.ages[event])
        rows[row, column + 7] = age
        code = way.codes[event]
        if code == _VIEW:
            rows[row, column + 4] += 1
        elif code == _CART:
            rows[row, column + 5] += 1
        elif code == _PURCHASE:
            rows[row, column + 6] += 1
            rows[row, column + 8] = age
        if way.in_visit[event]:
            rows[row, column + 10] += 1
        if event > 0 and way.events[event - 1] == last and way.events[event] != last:
            rows[row, column + 11] += 1
        rows[row, column + 12] += np.float32(0.9**moment)
        rows[row, column + 13] += np.float32(0.7**moment)
        rows[row, column + 14] = rows[row, column + 3] / (rows[row, column + 2] + 1)
    for item in way.cart:
        row = place[item] - 1
        if row >= 0:
            rows[row, column + 9] = 1
    return column + 15


@kernel
def _from_likeness(
    rows: Float32Array, column: int, candidates: Int32Array, way: Way, items: Items
) -> int:
    met = way.met.shape[0]
    prices, priced = np.float32(0), 0
    for item in way.met:
        if not np.isnan(items.log_price[item]):
            prices += items.log_price[item]
            priced += 1
    for row in range(candidates.shape[0]):
        item = candidates[row]
        same_category, same_brand = 0, 0
        for other in way.met:
            same_category += (
                items.category[item] >= 0 and items.category[item] == items.category[other]
            )
            same_brand += items.brand[item] >= 0 and items.brand[item] == items.brand[other]
        rows[row, column] = np.float32(same_category) / met
        rows[row, column + 1] = np.float32(same_brand) / met
        rows[row, column + 2] = items.log_price[item] - prices / priced if priced else np.nan
    return column + 3


@kernel
def _from_stats(
    rows: Float32Array, column: int, candidates: Int32Array, way: Way, items: Items
) -> int:
    width = items.stats.shape[1]
    last = way.met[0]
    for row in range(candidates.shape[0]):
        for number in range(width):
            rows[row, column + number] = items.stats[candidates[row], number]
            rows[row, column + width + number] = items.stats[last, number]
    return column + 2 * width


@kernel
def _from_way(rows: Float32Array, column: int, way: Way, pool: float) -> None:
    events = way.events.shape[0]
    last = events - 1
    times, visit_moments, returned = 0, 0, 0
    visit_age = np.float32(0)
    for event in range(events):
        times += way.events[event] == way.events[last]
        if event < last and way.events[event] == way.events[last]:
            returned = 1
        if way.in_visit[event]:
            if visit_moments == 0:
                visit_age = way.ages[event]
            visit_moments += 1
    values = (
        np.float32(events),
        np.float32(way.met.shape[0]),
        np.float32(events - way.met.shape[0]),
        np.float32(returned),
        np.float32(last > 0 and way.events[last] == way.events[last - 1]),
        np.float32(times),
        np.float32(np.log1p(way.ages[last])),
        np.float32(np.log1p(visit_age)),
        np.float32(visit_moments),
        np.float32(way.codes[last]),
        np.float32(way.cart.shape[0]),
        np.float32(pool),
    )
    for row in range(rows.shape[0]):
        for number in range(12):
            rows[row, column + number] = values[number]
