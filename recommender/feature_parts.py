"""What the kernels of `recommender.features` are given; see there for the notation."""

from __future__ import annotations

from typing import NamedTuple

from recommender.course import Courses
from recommender.terms import BoolArray, Float32Array, Int32Array, Int64Array


class Model(NamedTuple):
    """The arrays of a model that features come from.

    Parameters
    ----------
    factors, factor_norm
        float32 (items, f) and (items,), see `recommender.candidates.als`.
    vectors, vector_norm
        float32 (items, v) and (items,), see `training.models.embedding`.
    stats
        float32 (items, figures).
    category, brand
        int32 (items,), -1 where there is none.
    log_price
        float32 (items,), NaN where there is none.
    courses
        How visits go back to what was met.
    """

    factors: Float32Array
    factor_norm: Float32Array
    vectors: Float32Array
    vector_norm: Float32Array
    stats: Float32Array
    category: Int32Array
    brand: Int32Array
    log_price: Float32Array
    courses: Courses


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


class Candidates(NamedTuple):
    """The candidates and what the sources say of them.

    Parameters
    ----------
    item_idx
        int32 (c,), none twice.
    scores, shares
        float32 (sources, c), see `recommender.ranking.Proposed`.
    lines
        The first of the two lines of each source, int64 (sources,).
    """

    item_idx: Int32Array
    scores: Float32Array
    shares: Float32Array
    lines: Int64Array


class Lists(NamedTuple):
    """Neighbour lists of some sources, `recommender.candidates.neighbours.LISTS_AT_ONCE` of them.

    Parameters
    ----------
    lines
        The first of the four lines of each source, int64 (s,).
    neighbours, weights
        See `recommender.candidates.neighbours.NeighbourSource`; empty arrays after the s sources.
    """

    lines: Int64Array
    neighbours: tuple[Int32Array, ...]
    weights: tuple[Float32Array, ...]
