"""What is new: items that were first seen not long before the end of the window.

An item of age a days with a decayed weight y so far is worth (y + κ μ) / (a + κ) per day, where μ
is the mean weight per day of the new items and κ a prior in days: an item that nobody has met yet
is worth the mean, one that has been met little in a long time is worth less.

An item is first seen when its first event was known. One that only the shop's catalogue names has
never been met: its age is 0. In a log that is not much longer than the time in which things count
as new, everything would be new; at most `max_share` of the log's length counts.
"""

from __future__ import annotations

import numpy as np

from recommender.terms import Float64Array
from training.known_events import KnownEvents
from training.models.popularity import MICROS_PER_DAY, mass
from training.models.shortlist import Shortlist, shortlist
from training.sections import NewItemsSpec


def new_items(events: KnownEvents, weight_by_code: Float64Array, spec: NewItemsSpec) -> Shortlist:
    """New items by their worth.

    Parameters
    ----------
    weight_by_code
        Weight of each event code, float64 (event types,).
    """
    first = np.full(events.items, events.until, np.int64)
    np.minimum.at(first, events.item_idx, events.ts)
    longest = min(spec.days * MICROS_PER_DAY, spec.max_share * (events.until - events.start))
    age = (events.until - first).astype(np.float64)
    is_new = age <= longest
    weights = mass(events.item_idx, weight_by_code[events.event_code], events.items)
    days = age / MICROS_PER_DAY
    total = days[is_new].sum()
    # Nobody has met any of them yet: all are worth the same.
    mean = weights[is_new].sum() / total if total > 0 and weights[is_new].sum() > 0 else 1.0
    worth = (weights + spec.prior_days * mean) / (days + spec.prior_days)
    return shortlist(np.where(is_new, worth, 0.0), spec.items)
