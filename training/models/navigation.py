"""What going to a category, a search or the checkout is worth: for `recommender.navigation`.

The worth of a target in a state is a mean over the moments of the state (see
`recommender.navigation`), shrunk towards the same mean over all states with as full a cart,

    J(s, a) = (Σ_s + κ J_0(a)) / (n(s) + κ).

Moments and steps are those of `recommender.trail`; the purchase that counts is the first that
follows in the visit. A next step on the very item of the last one (into the cart with it) goes to
no target: nothing that a list could show would shorten it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.ids import StringArray
from recommender.terms import (
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
)
from training.known_events import KnownEvents
from training.models.moments import NOTHING, Searches, moments_of
from training.sections import NavigationSpec


def learn_ways(
    events: KnownEvents,
    item_category: Int32Array,
    categories: int,
    searches: Searches,
    settings: NavigationSpec,
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of `recommender.navigation.Ways`; none where too few visits buy.

    Parameters
    ----------
    item_category
        int32 (items,), -1 where unknown.
    """
    number, terms = searches.numbered(settings.min_visitors, settings.max_terms)
    moments = moments_of(events, item_category, (categories, settings.decay), (searches, number))
    if int(moments.pays.sum()) < settings.min_purchases:
        return {}
    states, decay = 2 * (categories + 1), settings.decay
    seen = np.bincount(moments.state, minlength=states).astype(np.float64)

    def joint(target: Int64Array, size: int, cost: float) -> sparse.csr_array:
        there = (target != NOTHING) & (moments.value > 0)
        place = (moments.state[there], target[there])
        found = sparse.csr_array((moments.value[there] * cost, place), shape=(states, size))
        found.sum_duplicates()
        return found

    shrink = _Shrinking(seen, settings.prior)
    category, category_worth = shrink.best(
        joint(moments.category, categories, decay), settings.categories
    )
    term, term_worth = shrink.best(joint(moments.term, len(terms), decay), settings.terms)
    pays = joint(np.where(moments.pays, 0, NOTHING), 1, 1.0)
    packed = StringArray.from_strings(terms)
    return {
        "way_item_worth": shrink.curve(joint(moments.item, events.items, 1.0), settings.ranks),
        "way_category": category,
        "way_category_worth": category_worth,
        "way_term": term,
        "way_term_worth": term_worth,
        "way_checkout_worth": shrink.column(pays),
        "term_data": packed.data,
        "term_offsets": packed.offsets,
    }


@dataclass(frozen=True, slots=True)
class _Shrinking:
    """Means per state, moved towards those of all states with as full a cart.

    Parameters
    ----------
    seen
        Moments of each state, float64 (states,); even rows have an empty cart.
    prior
        κ.
    """

    seen: Float64Array
    prior: float

    def pooled(self, joint: sparse.csr_array, filled: int) -> Float64Array:
        """J_0 of each target, float64 (targets,)."""
        total = np.asarray(joint[filled::2].sum(axis=0), np.float64).ravel()
        return total / max(float(self.seen[filled::2].sum()), 1.0)

    def best(self, joint: sparse.csr_array, width: int) -> tuple[Int32Array, Float32Array]:
        """The targets of each state that are worth most: int32, float32 (states, width)."""
        states, targets = joint.shape
        idx = np.full((states, width), NOTHING, np.int32)
        worth = np.zeros((states, width), np.float32)
        if not targets:
            return idx, worth
        pooled = [self.pooled(joint, filled) for filled in (0, 1)]
        common = [np.argsort(-each, kind="stable")[:width] for each in pooled]
        for state in range(states):
            row = slice(joint.indptr[state], joint.indptr[state + 1])
            there = np.union1d(joint.indices[row], common[state % 2])
            own = np.zeros(len(there))
            own[np.searchsorted(there, joint.indices[row])] = joint.data[row]
            means = self._mean(state, own, pooled[state % 2][there])
            order = np.argsort(-means, kind="stable")[:width]
            order = order[means[order] > 0]
            idx[state, : len(order)] = there[order]
            worth[state, : len(order)] = means[order]
        return idx, worth

    def curve(self, joint: sparse.csr_array, ranks: int) -> Float32Array:
        """Worth of the best targets of each state, rank by rank, float32 (states, ranks)."""
        curves = np.zeros((joint.shape[0], ranks), np.float32)
        pooled = [_first(self.pooled(joint, filled), ranks) for filled in (0, 1)]
        for state in range(joint.shape[0]):
            row = slice(joint.indptr[state], joint.indptr[state + 1])
            own = _first(joint.data[row], ranks)
            curves[state] = self._mean(state, own, pooled[state % 2])
        return np.minimum.accumulate(curves, axis=1)

    def column(self, joint: sparse.csr_array) -> Float32Array:
        """Worth of the one target there is, float32 (states,)."""
        own = np.asarray(joint.sum(axis=1), np.float64).ravel()
        pooled = np.array([float(self.pooled(joint, filled)[0]) for filled in (0, 1)])
        towards = np.tile(pooled, len(own) // 2)
        found = (own + self.prior * towards) / (self.seen + self.prior)
        return found.astype(np.float32)

    def _mean(self, state: int, own: Float64Array, pooled: Float64Array) -> Float64Array:
        found: Float64Array = (own + self.prior * pooled) / (self.seen[state] + self.prior)
        return found


def _first(values: npt.NDArray[np.floating], ranks: int) -> Float64Array:
    """The largest values, falling, padded with 0, float64 (ranks,)."""
    found = np.zeros(ranks)
    best = np.sort(values)[::-1][:ranks]
    found[: len(best)] = best
    return found
