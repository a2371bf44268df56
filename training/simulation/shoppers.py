"""The people of the made-up shop and what they remember between visits.

Notation: N shoppers. Traits never change; the memory (`seen`, `exposed`, `cart`, needs, due
consumables) does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.errors import InvalidInputError
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from training.simulation.behaviour import Draw
from training.simulation.catalogue import Catalogue
from training.simulation.chance import Keys, normal, pick, root_keys, uniform

SEEN = 8
"""Items a shopper remembers having looked at, newest first."""
EXPOSED = 36
"""Recommendations shown lately and not clicked, newest first, an item as often as it was shown."""
CART = 4
"""Different items a cart holds."""
DUE = 4
"""Consumables a shopper keeps buying."""
_BLOCK = 65_536
INTERESTS = 4
BRANDS = 2
NONE = -1
"""No item, no leaf, no brand."""


@dataclass(frozen=True, slots=True)
class ShopperSpec:
    """How many people, and of what kinds.

    Parameters
    ----------
    shoppers
        N, people and bots.
    bot_share
        Share of bots among them.
    known_share
        Share that knew the shop before the simulated time; the others arrive during it.
    loyal_share
        Share that comes back of their own accord, again and again.
    loyal_days, casual_days
        Mean days between visits of the loyal and of the others.
    two_devices_share, account_share
        Shares with a second device and with an account.
    """

    shoppers: int = 5000
    bot_share: float = 0.002
    known_share: float = 0.12
    loyal_share: float = 0.07
    loyal_days: float = 12.0
    casual_days: float = 400.0
    two_devices_share: float = 0.2
    account_share: float = 0.35

    def __post_init__(self) -> None:
        if self.shoppers < 1:
            raise InvalidInputError(f"shoppers={self.shoppers}; accepted: 1 or more")


@dataclass(frozen=True, slots=True)
class Shoppers:
    """Traits and memory of N shoppers; row s belongs to shopper s.

    Parameters
    ----------
    keys
        uint64 (N,), root of all of a shopper's random draws.
    is_bot
        bool (N,).
    taste
        float32 (N, F), unit length; compared with item styles.
    price_level
        float32 (N,), wanted price as logarithm over the median price of the leaf.
    price_sense
        float32 (N,), how much a price away from that matters, > 0.
    brands
        int32 (N, 2), favourite brands.
    interests
        int32 (N, 4), leaves they usually shop in, the most usual first.
    visit_rate
        float64 (N,), probability of a visit per day after the first.
    arrival_day
        int32 (N,), day of the first visit; -1 for those who knew the shop before.
    patience
        float32 (N,), factor on the mean patience of the pace.
    has_account, has_second_device
        bool (N,).
    first_device
        int32 (N,), index into `DEVICES`.
    seen, exposed, cart
        int32 (N, SEEN), (N, EXPOSED), (N, CART), item indices, -1 for an empty place.
    due_item, due_day
        int32 (N, DUE) and float64 (N, DUE): consumables and the day on which they run out.
    need_leaf, need_number
        int32 (N,): leaf of the open need or -1, and how many needs there have been.
    need_item
        int32 (N,): the item wanted again, or -1.
    orders
        int32 (N,), orders so far; those who knew the shop before begin with one.
    visits
        int32 (N, 2), number of visits so far by device.
    free_at
        int64 (N,), microseconds since the epoch before which the next visit cannot begin.
    """

    keys: Keys
    is_bot: BoolArray
    taste: Float32Array
    price_level: Float32Array
    price_sense: Float32Array
    brands: Int32Array
    interests: Int32Array
    visit_rate: Float64Array
    arrival_day: Int32Array
    patience: Float32Array
    has_account: BoolArray
    has_second_device: BoolArray
    first_device: Int32Array
    seen: Int32Array
    exposed: Int32Array
    cart: Int32Array
    due_item: Int32Array
    due_day: Float64Array
    need_leaf: Int32Array
    need_number: Int32Array
    need_item: Int32Array
    orders: Int32Array
    visits: Int32Array
    free_at: Int64Array

    def __len__(self) -> int:
        return len(self.keys)


DEVICES = ("mobile", "desktop", "tablet")


def build_shoppers(
    spec: ShopperSpec, catalogue: Catalogue, days: int, rng: np.random.Generator
) -> Shoppers:
    """Make up `spec.shoppers` people; shopper s is the same whatever their number."""
    keys = root_keys(rng, spec.shoppers)
    traits = uniform(keys, Draw.TRAITS, 8)
    spread = normal(keys, Draw.TRAITS + 64, 3)
    taste = normal(keys, Draw.TASTE, catalogue.style.shape[1])
    n = spec.shoppers
    return Shoppers(
        keys=keys,
        is_bot=traits[:, 0] < spec.bot_share,
        taste=(taste / np.linalg.norm(taste, axis=1, keepdims=True)).astype(np.float32),
        price_level=(0.25 * spread[:, 0]).astype(np.float32),
        price_sense=np.exp(0.4 * spread[:, 1]).astype(np.float32),
        brands=_favourite_brands(keys, catalogue, taste),
        interests=_interests(keys, catalogue),
        visit_rate=_visit_rate(spec, traits),
        arrival_day=np.where(
            traits[:, 2] < spec.known_share, NONE, np.floor(traits[:, 3] * days)
        ).astype(np.int32),
        patience=np.exp(0.35 * spread[:, 2]).astype(np.float32),
        has_account=traits[:, 4] < spec.account_share,
        has_second_device=traits[:, 5] < spec.two_devices_share,
        first_device=pick(traits[:, 6], np.array([0.6, 0.34, 0.06])).astype(np.int32),
        seen=_empty(n, SEEN),
        exposed=_empty(n, EXPOSED),
        cart=_empty(n, CART),
        due_item=_empty(n, DUE),
        due_day=np.full((n, DUE), np.inf),
        need_leaf=np.full(n, NONE, np.int32),
        need_number=np.zeros(n, np.int32),
        need_item=np.full(n, NONE, np.int32),
        orders=(traits[:, 2] < spec.known_share).astype(np.int32),
        visits=np.zeros((n, 2), np.int32),
        free_at=np.zeros(n, np.int64),
    )


def _empty(n: int, places: int) -> Int32Array:
    return np.full((n, places), NONE, np.int32)


def _favourite_brands(keys: Keys, catalogue: Catalogue, taste: Float64Array) -> Int32Array:
    """The brands whose mean style is nearest to the taste, with some luck."""
    brands = len(catalogue.brand_names)
    style = np.zeros((brands, catalogue.style.shape[1]))
    np.add.at(style, catalogue.brand, catalogue.style)
    style /= np.maximum(np.linalg.norm(style, axis=1, keepdims=True), 1e-9)
    favourites = np.empty((len(keys), BRANDS), np.int32)
    for first in range(0, len(keys), _BLOCK):  # the table of shoppers by brands would be large
        rows = slice(first, first + _BLOCK)
        luck = -np.log(-np.log(uniform(keys[rows], Draw.BRANDS, brands) + 1e-12))
        liking = 0.5 * taste[rows] @ style.T + 0.5 * luck
        favourites[rows] = np.argpartition(-liking, BRANDS - 1, axis=1)[:, :BRANDS]
    return favourites


def _interests(keys: Keys, catalogue: Catalogue) -> Int32Array:
    """Leaves drawn by their popularity, mostly near the first; a repeat is a stronger interest."""
    leaves = len(catalogue.leaves)
    share = np.bincount(catalogue.leaf, weights=catalogue.appeal, minlength=leaves)
    draws = uniform(keys, Draw.INTERESTS, INTERESTS)
    first = pick(draws[:, 0], share)
    others = [first]
    near = 1.0 + 8.0 * (catalogue.department[:, None] == catalogue.department[None, :])
    near += 8.0 * catalogue.goes_with
    others.extend(pick(draws[:, column], near[first] * share) for column in range(1, INTERESTS))
    return np.stack(others, axis=1).astype(np.int32)


def _visit_rate(spec: ShopperSpec, traits: Float64Array) -> Float64Array:
    """Loyal shoppers come every `loyal_days`, spread by a factor of e either way."""
    spread = np.exp(2.0 * traits[:, 7] - 1.0)
    mean_days = np.where(traits[:, 1] < spec.loyal_share, spec.loyal_days, spec.casual_days)
    return np.minimum(spread / mean_days, 0.9)
