"""Figures of each item that the ranker looks at: how common, how fresh, how often returned to.

Notation: n_i interactions with item i that count as interest; shares are shrunk by `_PRIOR`
observations. *Late* is the last tenth of the time that was learnt from, *latest* the last fiftieth:
relative, so that no figure depends on how long a shop's log is.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recommender.terms import (
    ADD_TO_CART,
    EVENT_CODES,
    PURCHASE,
    BoolArray,
    Float32Array,
    Float64Array,
)
from training.known_events import KnownEvents

STAT_NAMES: Final = (
    "common",
    "late",
    "latest",
    "late_share",
    "latest_share",
    "repeated",
    "returned",
    "ended",
    "carted",
    "bought",
    "young",
)
_PRIOR = 3.0
_LATE, _LATEST = 0.1, 0.02


def item_stats(events: KnownEvents, weight_by_code: Float64Array) -> Float32Array:
    """Figures in the order of `STAT_NAMES`, float32 (items, figures).

    ``common``, ``late``, ``latest``: log(1 + interactions), overall and with these half-lives;
    ``late_share``, ``latest_share``: late of all, latest of late; ``repeated``: share of
    interactions right after one with the same item in the visit; ``returned``: that were not the
    visit's first with the item; ``ended``: that ended the visit; ``carted``, ``bought``: carts and
    purchases per interaction; ``young``: part of the time during which it was not yet known.
    """
    known = events[weight_by_code[events.event_code] > 0]
    span = max(events.until - events.start, 1)
    age = (events.until - known.ts) / span
    count = _sums(known, np.ones(len(known)))
    late, latest = (_sums(known, np.exp2(-age / part)) for part in (_LATE, _LATEST))
    follows = np.zeros(len(known), np.bool_)
    follows[1:] = known.session[1:] == known.session[:-1]
    repeats = follows & (known.item_idx == np.roll(known.item_idx, 1))
    first_age = np.zeros(known.items)
    np.maximum.at(first_age, known.item_idx, age)
    columns = (
        np.log1p(count),
        np.log1p(late),
        np.log1p(latest),
        late / (count + _PRIOR),
        latest / (late + _PRIOR),
        _share(known, repeats, count),
        _share(known, ~_first_in_visit(known), count),
        _share(known, np.append(~follows[1:], [True])[: len(known)], count),
        _share(known, known.event_code == EVENT_CODES[ADD_TO_CART], count),
        _share(known, known.event_code == EVENT_CODES[PURCHASE], count),
        1 - first_age,
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _sums(known: KnownEvents, weights: Float64Array) -> Float64Array:
    return np.bincount(known.item_idx, weights, known.items).astype(np.float64)


def _share(known: KnownEvents, chosen: BoolArray, count: Float64Array) -> Float64Array:
    share: Float64Array = _sums(known, chosen.astype(np.float64)) / (count + _PRIOR)
    return share


def _first_in_visit(known: KnownEvents) -> BoolArray:
    if not len(known):
        return np.empty(0, np.bool_)
    pair = known.session.astype(np.int64) * known.items + known.item_idx
    _, first = np.unique(pair, return_index=True)
    is_first = np.zeros(len(known), np.bool_)
    is_first[first] = True
    return is_first
