"""What an item is worth to a shopper now, and what follows from it: examination, clicks, carts.

Notation, for a visit with taste t, wanted price level q, price sense s and favourite brands, and
item i with style v, price position p, standardised popularity z, in relation r to the needed leaf
(0 same leaf .. 3 other department)::

    utility      u = bias + w_taste t·v + w_brand [favourite] - s |p - q|
                     + w_quality z + w_habit [wanted again]
    match        m = closeness[pace, r] · logistic(u)                              in (0, 1)
    examination  e(k) = attention[pace] · decay[pace]^(k-1) · (listing_attention)  position k ≥ 1
    click        c(k) = e(k) · m^choosiness · seen · sold out · satisfied · exp(-fatigue · ignored)
    cart         a = (decide if willing else idle) · logistic(steepness (m - acceptance))

A list is read from the top and the first item that attracts is clicked (cascade model: Craswell,
Zoeter, Taylor and Ramsey 2008, "An experimental comparison of click position-bias models", equation
3, with an examination that fades): P(click at k) = c(k) · Π_{j<k} (1 - c(j)).
"""

from __future__ import annotations

import numpy as np

from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array
from training.simulation.batch import SessionBatch
from training.simulation.behaviour import Behaviour, Pace
from training.simulation.catalogue import Catalogue
from training.simulation.closeness import relations, times_in

FULL_REPETITION = 4.0
"""Ignored showings after which an item counts as fully repeated."""


def match(
    batch: SessionBatch, items: Int32Array, catalogue: Catalogue, behaviour: Behaviour
) -> Float32Array:
    """Give m for each visit and item, float32 (n, k); 0 where the item is -1.

    Parameters
    ----------
    items
        int32 (n, k), item indices, -1 for an empty place.
    """
    fit = 1.0 / (1.0 + np.exp(-utility(batch, items, catalogue, behaviour)))
    relation = _relation(batch, items, catalogue)
    closeness = behaviour.closeness.astype(np.float32)[batch.pace[:, None], relation]
    return np.where(items >= 0, closeness * fit, np.float32(0.0))


def utility(
    batch: SessionBatch, items: Int32Array, catalogue: Catalogue, behaviour: Behaviour
) -> Float32Array:
    """Give u for each visit and item, float32 (n, k), whatever the category."""
    taste = np.einsum("nf,nkf->nk", batch.taste, catalogue.style[items])
    brand = catalogue.brand[items]
    favourite = (brand == batch.brands[:, :1]) | (brand == batch.brands[:, 1:2])
    away = np.abs(catalogue.price_position[items] - batch.price_level[:, None])
    worth = behaviour.bias + behaviour.taste_weight * taste + behaviour.brand_weight * favourite
    worth += behaviour.quality_weight * catalogue.quality[items]
    worth += behaviour.habit_weight * (items == batch.need_item[:, None])
    return np.asarray(worth - batch.price_sense[:, None] * away, np.float32)


def _relation(batch: SessionBatch, items: Int32Array, catalogue: Catalogue) -> Int32Array:
    """0 same leaf, 1 same section, 2 same department, 3 other; a browser's interests count as 1."""
    tree = (catalogue.department, catalogue.section)
    browsing = batch.pace == Pace.BROWSING
    return relations(catalogue.leaf[items], batch.need_leaf, *tree, batch.interests, browsing)


def examination(
    batch: SessionBatch, position: Int32Array, in_listing: BoolArray, behaviour: Behaviour
) -> Float64Array:
    """Give e, float64 (n, k).

    Parameters
    ----------
    position
        int32 (k,), 1-based within its list.
    in_listing
        bool (k,): the place belongs to the shop's own listing, not to the recommendations.
    """
    attention = behaviour.attention[batch.pace][:, None]
    decay = behaviour.decay[batch.pace][:, None]
    weight = np.where(in_listing, behaviour.listing_attention, 1.0)
    return np.asarray(attention * decay ** (position - 1) * weight)


def ignored(batch: SessionBatch, items: Int32Array) -> Int32Array:
    """How often each item was recommended lately and not clicked, int32 (n, k)."""
    return times_in(items, batch.exposed)


def known(batch: SessionBatch, items: Int32Array) -> BoolArray:
    """Whether the visit's shopper remembers having looked at the item, bool (n, k)."""
    return times_in(items, batch.seen) > 0


def attraction(
    batch: SessionBatch,
    items: Int32Array,
    fit: Float32Array,
    on_sale: BoolArray,
    behaviour: Behaviour,
) -> Float64Array:
    """Probability of a click on an item that is examined and not tired of, float64 (n, k).

    Parameters
    ----------
    fit
        The matches, float32 (n, k).
    on_sale
        bool (n, k): in stock.
    """
    wanted = fit.astype(np.float64) ** behaviour.choosiness
    wanted *= np.where(known(batch, items), behaviour.seen_factor, 1.0)
    wanted *= np.where(on_sale, 1.0, behaviour.sold_out_factor)
    wanted *= np.where(batch.satisfied[:, None], behaviour.satisfied_factor, 1.0)
    return np.where(items == batch.item[:, None], 0.0, wanted)


def cascade(click: Float64Array) -> Float64Array:
    """Probability that a place is the one clicked, float64 (n, k), from c (n, k)."""
    reached = np.cumprod(1.0 - click, axis=1)
    reached = np.concatenate([np.ones((len(click), 1)), reached[:, :-1]], axis=1)
    return np.asarray(click * reached)


def cart_probability(batch: SessionBatch, fit: Float32Array, behaviour: Behaviour) -> Float64Array:
    """Give a, float64 (n, k), from the matches (n, k)."""
    steep = 1.0 / (1.0 + np.exp(-behaviour.steepness * (fit - behaviour.acceptance)))
    intent = np.where(batch.willing, behaviour.decide, behaviour.idle_cart)
    return np.asarray(intent[:, None] * steep)
