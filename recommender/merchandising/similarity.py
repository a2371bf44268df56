"""How alike the items of a list are, 0..1."""

from __future__ import annotations

from typing import Final

import numpy as np

from recommender.catalogue import NO_CATEGORY, UNKNOWN_PRICE, Catalogue
from recommender.terms import BoolArray, Float32Array, Int32Array

# What the attributes of two items count, where no factors say how alike the items are.
CATEGORY_SHARE: Final = 0.5
BRAND_SHARE: Final = 0.3
PRICE_SHARE: Final = 0.2
# Prices this many times apart have nothing in common.
PRICE_REACH: Final = 4.0


def similarities(
    items: Int32Array, catalogue: Catalogue, factors: Float32Array | None
) -> Float32Array:
    """Similarity of each pair, float32 (rows, rows).

    The cosine of the item factors, not below 0. Without factors, or for a pair of which one item
    has none (a new one), what category, brand and price have in common.

    Parameters
    ----------
    items
        Item indices, int32 (rows,).
    factors
        float32 (items, factors) of the whole catalogue, or None.
    """
    if factors is None:
        return attribute_overlap(items, catalogue)
    own = factors[items]
    lengths = np.linalg.norm(own, axis=1)
    known = lengths > 0
    unit = own / np.where(known, lengths, 1)[:, None]
    cosines: Float32Array = np.maximum(unit @ unit.T, 0).astype(np.float32, copy=False)
    if known.all():
        return cosines
    return np.where(known[:, None] & known, cosines, attribute_overlap(items, catalogue))


def attribute_overlap(items: Int32Array, catalogue: Catalogue) -> Float32Array:
    """Shares of category, brand and price that each pair has in common, float32 (rows, rows).

    Prices have in common ``1 - |log(p / q)| / log 4``, not below 0. What is unknown is not alike.
    """
    price = catalogue.item_price[items]
    priced = price != UNKNOWN_PRICE
    logs = np.log(np.where(priced, price, 1))
    apart = np.abs(logs[:, None] - logs) / np.float32(np.log(PRICE_REACH))
    near = np.maximum(1 - apart, 0) * (priced[:, None] & priced)
    overlap: Float32Array = (
        CATEGORY_SHARE * _same(catalogue.item_category[items])
        + BRAND_SHARE * _same(catalogue.item_brand[items])
        + PRICE_SHARE * near
    ).astype(np.float32)
    return overlap


def _same(codes: Int32Array) -> BoolArray:
    same: BoolArray = (codes[:, None] == codes) & (codes != NO_CATEGORY)
    return same
