"""Clicks of made-up shoppers with tastes: enough of a pattern for a factor model to learn."""

from __future__ import annotations

import numpy as np
from scipy import sparse

_ITEMS_A_CATEGORY = 100
_TASTES = 3
_STRAY_SHARE = 0.15
_CLICKS_A_VISIT = 6


def clicks(shoppers: int, items: int, count: int, rng: np.random.Generator) -> sparse.csr_matrix:
    """Times that each clicked on each, float32 (shoppers, items), about `count` in sum.

    Each shopper likes three categories; a visit stays in one of them or, one time in seven, in any.
    Categories, the items in each and the shoppers differ in how much is clicked, so that a few get
    a lot of it and most a little, as in shops.
    """
    categories = max(8, items // _ITEMS_A_CATEGORY)
    bounds = np.sort(rng.integers(1, items, categories - 1))
    begin, end = np.append(0, bounds), np.append(bounds, items)
    worth = np.cumsum(np.arange(1, categories + 1) ** -0.8)
    tastes = _drawn(worth, (shoppers, _TASTES), rng)
    diligence = np.cumsum(rng.lognormal(0, 1, shoppers))
    visits = max(1, count // _CLICKS_A_VISIT)
    shopper = _drawn(diligence, (visits,), rng)
    category = tastes[shopper, rng.integers(0, _TASTES, visits)]
    is_stray = rng.random(visits) < _STRAY_SHARE
    category[is_stray] = _drawn(worth, (int(is_stray.sum()),), rng)
    visit = np.repeat(np.arange(visits), rng.geometric(1 / _CLICKS_A_VISIT, visits))
    first, last = begin[category[visit]], np.maximum(end[category[visit]] - 1, 0)
    place = first + (last - first) * rng.random(len(visit)) ** 2.5
    item = rng.permutation(items)[place.astype(np.int64)]
    once = np.ones(len(visit), np.float32)
    return sparse.csr_matrix((once, (shopper[visit], item)), shape=(shoppers, items))


def _drawn(cumulated: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Indices in proportion to weights that are given cumulated, int64 of this shape."""
    return np.searchsorted(cumulated, rng.random(shape) * cumulated[-1], side="right")
