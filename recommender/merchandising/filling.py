"""The kernel of `recommender.merchandising.variety`: the places of a list, filled one by one.

Notation as there. Likeness is the cosine of the item factors, not below 0; for a pair of which one
item has none (a new one), what category, brand and price have in common.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from recommender.candidates.row_sums import lengths, products
from recommender.catalogue import NO_CATEGORY, UNKNOWN_PRICE
from recommender.compiled import kernel
from recommender.merchandising.calibration import OTHER
from recommender.seeds import PART_CODES
from recommender.terms import Float32Array, Float64Array, Int32Array, Int64Array

# What the attributes of two items count, where no factors say how alike the items are.
CATEGORY_SHARE: Final = 0.5
BRAND_SHARE: Final = 0.3
PRICE_SHARE: Final = 0.2
# Prices this many times apart have nothing in common.
PRICE_REACH: Final = 4.0
_SMOOTHING: Final = 0.01
_HISTORY, _SESSION = PART_CODES["history"], PART_CODES["session"]


class Traits(NamedTuple):
    """What says how alike the items of a catalogue are.

    Parameters
    ----------
    factors
        float32 (items, factors), rows of 0 for items without; (0, 0) where no item has any.
    category, brand
        int32 (items,), `NO_CATEGORY` where there is none.
    price
        float32 (items,), `UNKNOWN_PRICE` where it is not known.
    """

    factors: Float32Array
    category: Int32Array
    brand: Int32Array
    price: Float32Array


class Aim(NamedTuple):
    """The mix of categories that a list is to follow: that of what was met before it.

    Parameters
    ----------
    strength
        κ; 0: it is to follow none.
    min_history
        Interactions with an item of a known category, fewer than which make no mix.
    groups
        Category of each item of the catalogue or `OTHER`, int32 (items,).
    met, parts, weights
        As `recommender.seeds.Seeds` has them; those of the page and the cart do not count.
    """

    strength: float
    min_history: int
    groups: Int32Array
    met: Int32Array
    parts: Int32Array
    weights: Float32Array


@kernel
def filled(
    items: Int32Array, length: int, level: float, traits: Traits, aim: Aim
) -> tuple[Int64Array, bool]:
    """The rows of a ranking, those of the first places in their new order, and whether by a mix.

    Parameters
    ----------
    items
        The ranking, int32 (rows,).
    length
        Places to fill.
    level
        δ; 0: items may be as alike as they are.
    """
    rows = len(items)
    shares, places = mix_of(items, aim)
    strength = aim.strength if len(shares) else 0.0
    counts, divergence = np.zeros(len(shares)), np.zeros(len(shares) + 1)
    nearest, is_taken = np.zeros(rows, np.float32), np.zeros(rows, np.bool_)
    known = factor_lengths(items, traits)
    order, count = np.empty(rows, np.int64), min(length, rows)
    for place in range(count):
        diverge(shares, counts, place + 1, divergence)
        best, most = 0, -np.inf
        for row in range(rows):
            relevance = (1 - level) * (1 - row / rows) - level * nearest[row]
            value = (1 - strength) * relevance - strength * divergence[places[row]]
            if value > most and not is_taken[row]:
                best, most = row, value
        order[place], is_taken[best] = best, True
        if level > 0:
            nearest = np.maximum(nearest, likeness(best, items, known, traits))
        if places[best] < len(shares):
            counts[places[best]] += 1
    order[count:] = np.flatnonzero(~is_taken)
    return order, len(shares) > 0


@kernel
def factor_lengths(items: Int32Array, traits: Traits) -> Float32Array:
    """Length of the factors of each item, float32 (rows,); 0 where it has none."""
    if len(traits.factors):
        return lengths(traits.factors, items)
    return np.zeros(len(items), np.float32)


@kernel
def likeness(one: int, items: Int32Array, known: Float32Array, traits: Traits) -> Float32Array:
    """How alike each item is to that in one of the rows, 0..1, float32 (rows,).

    Parameters
    ----------
    known
        `factor_lengths` of the items.
    """
    alike = np.zeros(len(items), np.float32)
    if known[one] > 0:
        alike = products(traits.factors, items, traits.factors[items[one]])
    for row in range(len(items)):
        if known[one] > 0 and known[row] > 0:
            alike[row] = max(alike[row] / (known[one] * known[row]), np.float32(0))
        else:
            alike[row] = in_common(items[one], items[row], traits)
    return alike


@kernel
def in_common(one: int, other: int, traits: Traits) -> float:
    """Shares of category, brand and price that two items have in common, 0..1.

    Prices have in common ``1 - |log(p / q)| / log 4``, not below 0. What is unknown is not alike.
    """
    category, brand, price = traits.category, traits.brand, traits.price
    shared = 0.0
    if category[one] == category[other] != NO_CATEGORY:
        shared += CATEGORY_SHARE
    if brand[one] == brand[other] != NO_CATEGORY:
        shared += BRAND_SHARE
    if price[one] != UNKNOWN_PRICE and price[other] != UNKNOWN_PRICE:
        apart = abs(np.log(price[one] / price[other])) / np.log(PRICE_REACH)
        shared += PRICE_SHARE * max(1 - apart, 0.0)
    return shared


@kernel
def mix_of(items: Int32Array, aim: Aim) -> tuple[Float64Array, Int64Array]:
    """The mix of what was met, and for each item its place in it.

    Returns
    -------
    tuple
        p, float64 (g,), positive, summing to 1; empty where too little is known. For each of the
        items, g where its category is any other, int64 (rows,).
    """
    if aim.strength == 0:
        return np.empty(0), np.zeros(len(items), np.int64)
    groups = np.full(len(aim.met), np.int32(OTHER))
    for seed in range(len(aim.met)):
        if aim.parts[seed] == _HISTORY or aim.parts[seed] == _SESSION:
            groups[seed] = aim.groups[aim.met[seed]]
    known = np.flatnonzero(groups != OTHER)
    if len(known) < max(aim.min_history, 1):
        return np.empty(0), np.zeros(len(items), np.int64)
    present = np.unique(groups[known])
    shares = np.zeros(len(present))
    for row in known:
        shares[np.searchsorted(present, groups[row])] += aim.weights[row]
    places = np.empty(len(items), np.int64)
    for place in range(len(items)):
        group = aim.groups[items[place]]
        found = np.searchsorted(present, group)
        is_met = found < len(present) and present[found] == group
        places[place] = found if is_met else len(present)
    return shares / shares.sum(), places


@kernel
def diverge(
    shares: Float64Array, counts: Float64Array, length: int, divergence: Float64Array
) -> None:
    """KL(p || q) of a list of so many items, for each category that the last of them may have.

    Parameters
    ----------
    shares
        p, float64 (g,).
    counts
        Items of each category without the last one, float64 (g,); the others are of none of these.
    divergence
        Where to write, float64 (g + 1,), not negative; the last one for any other category.
    """
    total = 0.0
    for group in range(len(shares)):
        kept = _term(shares[group], counts[group], length)
        divergence[group] = _term(shares[group], counts[group] + 1, length) - kept
        total += kept
    divergence[len(shares)] = 0.0
    divergence += total


@kernel
def _term(share: float, count: float, length: int) -> float:
    mixed = (1 - _SMOOTHING) / length * count + _SMOOTHING * share
    term: float = share * np.log(share / mixed)
    return term
