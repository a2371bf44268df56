"""Who comes to the shop on a day, and what they want.

A need is a leaf category, a taste (the shopper's own with some noise), a price level and perhaps
one item to be had again. It stays open over visits until it is met or forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from training.simulation.batch import Int8Array
from training.simulation.behaviour import Draw, Pace
from training.simulation.catalogue import Catalogue
from training.simulation.chance import Keys, derive, normal, pick, uniform
from training.simulation.shoppers import DUE, NONE, Shoppers

DAY_MICROS = 86_400_000_000
HOUR_MICROS = 3_600_000_000


class Need(IntEnum):
    """Where a need comes from."""

    NEW = 0
    AGAIN = 1
    OPEN = 2


@dataclass(frozen=True, slots=True)
class DemandSpec:
    """What brings people.

    Parameters
    ----------
    weekday
        Factor on visits by weekday, Monday first.
    hours
        Weights of the hours of the day in which visits begin, UTC.
    customer
        Least probability per day of a visit by someone who has bought here before.
    open_need
        Probability per day of coming back for an open need.
    due
        Probability per day of coming for a consumable that has run out.
    forget
        Probability that an open need is forgotten when the next visit begins.
    interest
        Probability that a new need is in one of the shopper's usual leaves, and the weights of
        these.
    paces
        Shares of hurried, focused and browsing among visits for something new.
    return_pace
        Probability that a visit for an open need is made at the returning pace.
    second_visit
        Probability of another visit on the same day.
    """

    weekday: tuple[float, ...] = (1.05, 1.05, 1.0, 1.0, 0.95, 0.9, 1.05)
    hours: tuple[float, ...] = (
        *(0.3, 0.2, 0.1, 0.1, 0.1, 0.2, 0.5, 0.8, 1.0, 1.2, 1.3, 1.4),
        *(1.5, 1.3, 1.2, 1.2, 1.3, 1.5, 1.8, 2.2, 2.4, 2.1, 1.4, 0.7),
    )
    customer: float = 0.045
    open_need: float = 0.02
    due: float = 0.45
    forget: float = 0.25
    interest: float = 0.8
    interest_weights: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    paces: tuple[float, ...] = (0.3, 0.35, 0.35)
    return_pace: float = 0.8
    second_visit: float = 0.06


@dataclass(frozen=True, slots=True)
class Wants:
    """What each of n visitors wants today.

    Parameters
    ----------
    leaf, item
        int32 (n,), item -1 for any.
    kind
        int8 (n,), see `Need`.
    taste
        float32 (n, F).
    pace
        int8 (n,).
    """

    leaf: Int32Array
    item: Int32Array
    kind: Int8Array
    taste: Float32Array
    pace: Int8Array

    def rows(self, chosen: slice) -> Wants:
        """Give some of the visitors."""
        return Wants(
            self.leaf[chosen],
            self.item[chosen],
            self.kind[chosen],
            self.taste[chosen],
            self.pace[chosen],
        )


def stock_cupboards(shoppers: Shoppers, catalogue: Catalogue) -> None:
    """Give shoppers who knew the shop before a consumable that they keep buying, in place."""
    consumable = np.flatnonzero(catalogue.interval_days > 0)
    liked = shoppers.interests[:, 0]
    rows = np.flatnonzero((shoppers.arrival_day == NONE) & np.isin(liked, consumable))
    draws = uniform(shoppers.keys[rows], Draw.EXTRAS, 2)
    for leaf in np.unique(liked[rows]):
        of_leaf = liked[rows] == leaf
        items = np.flatnonzero((catalogue.leaf == leaf) & (catalogue.arrival_day == 0))
        if len(items):
            chosen = items[pick(draws[of_leaf, 0], catalogue.appeal[items])]
            shoppers.due_item[rows[of_leaf], 0] = chosen
            interval = catalogue.interval_days[leaf]
            shoppers.due_day[rows[of_leaf], 0] = draws[of_leaf, 1] * interval


def visitors_of_day(shoppers: Shoppers, spec: DemandSpec, day: int, weekday: int) -> Int32Array:
    """Give the people (no bots) who visit on a day, int32, ascending."""
    least = np.where(shoppers.orders > 0, spec.customer, 0.0)
    rate = np.maximum(shoppers.visit_rate, least) * spec.weekday[weekday]
    stay_away = 1.0 - np.minimum(rate, 1.0)
    stay_away *= np.where(shoppers.need_leaf >= 0, 1.0 - spec.open_need, 1.0)
    stay_away *= np.where(shoppers.due_day.min(axis=1) <= day, 1.0 - spec.due, 1.0)
    stay_away[shoppers.arrival_day == day] = 0.0
    stay_away[(shoppers.arrival_day > day) | shoppers.is_bot] = 1.0
    draws = uniform(derive(shoppers.keys, day), Draw.VISIT)
    return np.flatnonzero(draws >= stay_away).astype(np.int32)


def start_times(keys: Keys, spec: DemandSpec, midnight: int) -> Int64Array:
    """Give the moments at which visits begin, int64 (n,), microseconds since the epoch."""
    draws = uniform(keys, Draw.HOUR, 2)
    hour = pick(draws[:, 0], np.array(spec.hours))
    return midnight + hour * HOUR_MICROS + np.floor(draws[:, 1] * HOUR_MICROS).astype(np.int64)


def settle_wants(
    shoppers: Shoppers,
    visitors: Int32Array,
    keys: Keys,
    spec: DemandSpec,
    catalogue: Catalogue,
    when: tuple[int, int],
) -> Wants:
    """Decide what today's visitors want, and note it as their open need, in place.

    Parameters
    ----------
    keys
        uint64 (n,), of the visits.
    when
        Day of the simulation and month 1..12.
    """
    day, month = when
    draws = uniform(keys, Draw.NEED, 4)
    open_need = (shoppers.need_leaf[visitors] >= 0) & (draws[:, 0] >= spec.forget)
    slot = np.argmin(shoppers.due_day[visitors], axis=1)
    due = (shoppers.due_day[visitors, slot] <= day + 1) & ~open_need
    new = ~open_need & ~due
    item = np.where(open_need, shoppers.need_item[visitors], NONE).astype(np.int32)
    item[due] = shoppers.due_item[visitors[due], slot[due]]
    # Who does not find it here gets it elsewhere: it runs out again after another interval.
    interval = catalogue.interval_days[catalogue.leaf[item[due]]]
    shoppers.due_day[visitors[due], slot[due]] = day + interval
    leaf = np.where(due, catalogue.leaf[item], shoppers.need_leaf[visitors]).astype(np.int32)
    leaf[new] = _new_leaves(shoppers, visitors[new], draws[new], spec, (catalogue, month))
    shoppers.need_leaf[visitors] = leaf
    shoppers.need_item[visitors] = item
    shoppers.need_number[visitors[~open_need]] += 1
    kind = np.where(open_need, Need.OPEN, np.where(due, Need.AGAIN, Need.NEW)).astype(np.int8)
    taste = _taste(shoppers, visitors)
    return Wants(leaf, item, kind, taste, _paces(keys, kind, shoppers.seen[visitors, 0] >= 0, spec))


def _new_leaves(
    shoppers: Shoppers,
    visitors: Int32Array,
    draws: Float64Array,
    spec: DemandSpec,
    market: tuple[Catalogue, int],
) -> Int32Array:
    """A usual leaf, weighted by the season, or any leaf by its popularity and the season."""
    catalogue, month = market
    season = catalogue.season[:, month]
    usual = shoppers.interests[visitors]
    weights = np.array(spec.interest_weights)[None, :] * season[usual] + 1e-9
    column = pick(draws[:, 1], weights)
    share = np.bincount(catalogue.leaf, catalogue.appeal, len(season)) * season + 1e-12
    other = pick(draws[:, 2], share)
    # Out of season the usual is wanted less often, and another leaf takes its place.
    in_season = np.minimum(weights.sum(axis=1) / sum(spec.interest_weights), 1.0)
    keeps = draws[:, 3] < spec.interest * in_season
    return np.where(keeps, usual[np.arange(len(visitors)), column], other).astype(np.int32)


def _taste(shoppers: Shoppers, visitors: Int32Array) -> Float32Array:
    """The shopper's taste and half as much noise of the need's own, unit length."""
    need_keys = derive(shoppers.keys[visitors], shoppers.need_number[visitors])
    dimensions = shoppers.taste.shape[1]
    noise = normal(need_keys, Draw.NEED_TASTE, dimensions) / np.sqrt(dimensions)
    mixed = shoppers.taste[visitors] + 0.5 * noise
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def _paces(keys: Keys, kind: Int8Array, remembers: BoolArray, spec: DemandSpec) -> Int8Array:
    draws = uniform(keys, Draw.PACE, 2)
    fresh = pick(draws[:, 0], np.array(spec.paces))
    back = (kind == Need.OPEN) & remembers & (draws[:, 1] < spec.return_pace)
    again = np.where(draws[:, 0] < 0.6, Pace.HURRIED, Pace.FOCUSED)
    pace = np.where(back, Pace.RETURNING, np.where(kind == Need.AGAIN, again, fresh))
    return pace.astype(np.int8)


def note_purchases(
    shoppers: Shoppers,
    buyers: Int32Array,
    items: Int32Array,
    due_day: Float64Array,
) -> None:
    """Remember when bought consumables run out, in place.

    Parameters
    ----------
    buyers, items
        int32 (n,), one row per order line of a consumable.
    due_day
        float64 (n,).
    """
    for row in range(len(buyers)):
        buyer, item = int(buyers[row]), int(items[row])
        places = np.flatnonzero(shoppers.due_item[buyer] == item)
        place = int(places[0]) if len(places) else _free_place(shoppers.due_day[buyer])
        shoppers.due_item[buyer, place] = item
        shoppers.due_day[buyer, place] = due_day[row]


def _free_place(due_day: Float64Array) -> int:
    """An empty place, else that of the consumable which would run out last."""
    return int(np.argmax(due_day[:DUE]))
