"""What early adopters picked lately.

An *adoption* is a shopper's first chosen event (cart, purchase) with an item. Of an adoption that
is at least `window_days` old, let b and f be how many *other* shoppers adopted the item within
`window_days` before and after it; it was early by

    e = (f - b) / (f + b + 1)      between -1 and 1.

A shopper is as early as the shrunk mean of their adoptions, Σ e / (n + κ). The adoption of an item
never counts for what the shopper says about that very item (leave one out), and an adoption whose
window reaches beyond the cut does not count at all, so nothing looks into the future. The earliest
`share` of the shoppers with enough adoptions are the early adopters; an item's score is the surplus
(see `training.models.shortlist`) of their recent adoptions over everybody's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.terms import Float64Array, Int32Array, Int64Array
from training.known_events import KnownEvents
from training.models.popularity import MICROS_PER_DAY, decay, mass
from training.models.shortlist import Shortlist, mean_event_weight, shortlist, surplus
from training.sections import EarlyAdoptersSpec


@dataclass(frozen=True, slots=True)
class Adoptions:
    """First events of shoppers with items, by item, then in time.

    Parameters
    ----------
    shopper_idx, item_idx
        int32 (n,).
    ts
        Microseconds, int64 (n,).
    """

    shopper_idx: Int32Array
    item_idx: Int32Array
    ts: Int64Array


def early_adopters_picks(events: KnownEvents, spec: EarlyAdoptersSpec) -> Shortlist:
    """Items by the surplus of early adopters' recent adoptions."""
    adoptions = find_adoptions(events.of_types(spec.events))
    earliness = score_adoptions(adoptions, events.until, spec.window_days)
    trust = adopter_scores(adoptions.shopper_idx, earliness, spec)
    recent = decay(adoptions.ts, events.until, spec.half_life_days)
    picked = trust * recent
    found = mass(adoptions.item_idx, picked, events.items)
    usual = mass(adoptions.item_idx, recent, events.items)
    return shortlist(surplus(found, usual, mean_event_weight(picked), spec.sigmas), spec.items)


def find_adoptions(events: KnownEvents) -> Adoptions:
    """The first event of each shopper with each item."""
    order = np.lexsort((events.ts, events.shopper_idx, events.item_idx))
    shopper, item, ts = events.shopper_idx[order], events.item_idx[order], events.ts[order]
    first = np.ones(len(ts), np.bool_)
    first[1:] = (shopper[1:] != shopper[:-1]) | (item[1:] != item[:-1])
    shopper, item, ts = shopper[first], item[first], ts[first]
    by_time = np.lexsort((shopper, ts, item))
    return Adoptions(shopper[by_time], item[by_time], ts[by_time])


def score_adoptions(adoptions: Adoptions, until: int, window_days: float) -> Float64Array:
    """Earliness e of each adoption, float64 (n,); NaN where its window reaches beyond `until`."""
    window = round(window_days * MICROS_PER_DAY)
    ts, item = adoptions.ts, adoptions.item_idx.astype(np.int64)
    # One axis for all items: each item's moments lie in a stretch of their own, in order.
    low = int(ts.min(initial=0))
    stretch = int(ts.max(initial=0)) - low + 2 * window + 2
    place = item * stretch + (ts - low)
    earlier = np.searchsorted(place, place) - np.searchsorted(place, place - window)
    later = np.searchsorted(place, place + window, "right") - np.searchsorted(place, place, "right")
    early = (later - earlier) / (later + earlier + 1.0)
    return np.where(ts + window <= until, early, np.nan)


def adopter_scores(
    shopper_idx: Int32Array, earliness: Float64Array, spec: EarlyAdoptersSpec
) -> Float64Array:
    """What each adoption counts: its shopper's score without it, 0 if no early adopter; (n,)."""
    judged = ~np.isnan(earliness)
    value = np.where(judged, earliness, 0.0)
    count = np.bincount(shopper_idx, judged)
    total = np.bincount(shopper_idx, value)
    score = total / (count + spec.prior)
    enough = count >= spec.min_adoptions
    if not enough.any():
        return np.zeros(len(shopper_idx))
    border = max(0.0, float(np.quantile(score[enough], 1 - spec.share)))
    is_early = enough & (score >= border) & (score > 0)
    without = (total[shopper_idx] - value) / (count[shopper_idx] - judged + spec.prior)
    return np.where(is_early[shopper_idx], np.maximum(without, 0.0), 0.0)
