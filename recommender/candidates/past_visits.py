"""The kernels of `recommender.candidates.session_knn`; see there for formulas and notation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recommender.candidates.best import keep_best, ordered
from recommender.candidates.proposals import Rows
from recommender.compiled import kernel
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array


class SessionIndex(NamedTuple):
    """Past visits, oldest first, without any word of whose they were.

    Parameters
    ----------
    session_items
        Items of all visits one behind the other, each in order, int32 (steps,).
    session_offsets
        Bounds of each visit, int64 (visits + 1,).
    item_sessions
        Visits that each item occurs in, ascending, int32 (pairs,).
    item_sessions_offsets
        Bounds of each item, int64 (items + 1,).
    """

    session_items: Int32Array
    session_offsets: Int64Array
    item_sessions: Int32Array
    item_sessions_offsets: Int64Array


class Params(NamedTuple):
    """The parameters of s sources that look at the same visits.

    Parameters
    ----------
    rows
        Row of the proposals that each one fills, int64 (s,).
    sample
        The same for all of them.
    k
        int64 (s,).
    seed_reach, item_reach, backward
        float64 (s,).
    """

    rows: Int64Array
    sample: int
    k: Int64Array
    seed_reach: Float64Array
    item_reach: Float64Array
    backward: Float64Array


class Met(NamedTuple):
    """What the visit met: distinct items and the lag of each, newest first, int32 (n,)."""

    items: Int32Array
    lags: Int32Array


class Asked(NamedTuple):
    """What is looked for, and where."""

    met: Met
    past: SessionIndex
    params: Params


class Work(NamedTuple):
    """Arrays to work in; zero but for `found`, and so again at the end.

    Parameters
    ----------
    visits
        Of each visit the newest met item that it shares, by its place plus 1, and the sum of the
        weights of all that it shares for each source: float32 (visits, 1 + s). They lie together,
        because visits are looked up all over the place.
    score
        float32 (items,).
    found
        The items with a score, int32 (items + 1,).
    """

    visits: Float32Array
    score: Float32Array
    found: Int32Array


class Touched(NamedTuple):
    """Past visits that share something with the running one, in the order in which that was seen.

    Parameters
    ----------
    visits
        int32 (t,).
    newest
        Place of the newest met item that each shares, int32 (t,).
    similarity
        sim of each for each source, float32 (s, t).
    """

    visits: Int32Array
    newest: Int32Array
    similarity: Float32Array


@kernel
def list_all(asked: Asked, work: Work, eligible: BoolArray, proposals: Rows) -> None:
    """The best eligible items of each source by what the nearest visits say."""
    item_idx, scores, counts = proposals
    touched = _touched(asked, work)
    for source in range(len(asked.params.rows)):
        row = asked.params.rows[source]
        if row < len(counts):
            near = _nearest(touched.similarity[source], asked.params.k[source])
            count = _add_visits(near, touched, source, asked, work)
            said = np.empty(count, np.float32)
            for place in range(count):
                item = work.found[place]
                said[place] = work.score[item] if eligible[item] else 0
                work.score[item] = 0
            counts[row] = keep_best(work.found[:count], said, item_idx[row], scores[row])


@kernel
def _nearest(similarity: Float32Array, k: int) -> Int32Array:
    """Places of the k visits most like the running one, most alike first, int32 (≤ k,).

    Of visits that are alike, the one that was touched first is nearer.
    """
    places = np.arange(len(similarity)).astype(np.int32)
    if len(places) > k:
        near, worth = np.empty(k, np.int32), np.empty(k, np.float32)
        count = keep_best(places, similarity, near, worth)
        return ordered(near[:count], worth[:count])[0]
    return ordered(places, similarity)[0]


@kernel
def _touched(asked: Asked, work: Work) -> Touched:
    """What the latest visits with each met item share with the running one, newest item first."""
    visits, offsets = _touch(asked, work), asked.past.session_offsets
    sources = len(asked.params.rows)
    newest, similarity = (
        np.empty(len(visits), np.int32),
        np.empty((sources, len(visits)), np.float32),
    )
    for place in range(len(visits)):
        visit = np.uint32(visits[place])
        length = offsets[visit + 1] - offsets[visit]
        newest[place], work.visits[visit, 0] = work.visits[visit, 0] - 1, 0
        for source in range(sources):
            shared = work.visits[visit, source + 1]
            similarity[source, place] = shared / np.sqrt(np.float32(length))
            work.visits[visit, source + 1] = 0
    return Touched(visits, newest, similarity)


@kernel
def _touch(asked: Asked, work: Work) -> Int32Array:
    """The latest visits with each met item, each once; what they share is noted in `work`."""
    met, index, params = asked
    sample, visits = params.sample, index.session_offsets.shape[0] - 1
    most = 0
    for item in met.items:
        most += index.item_sessions_offsets[item + 1] - index.item_sessions_offsets[item]
    # One place more than are needed: each is written before it is known to be new.
    touched = np.empty(min(most, sample * met.items.shape[0]) + 1, np.int32)
    weights = np.empty(len(params.rows), np.float32)
    count = 0
    for row in range(met.items.shape[0]):
        begin = index.item_sessions_offsets[met.items[row]]
        end = index.item_sessions_offsets[met.items[row] + 1]
        idf = np.log(1 + visits / max(end - begin, 1))
        for source in range(len(weights)):
            weights[source] = idf * np.exp(-met.lags[row] / params.seed_reach[source])
        for place in range(end - 1, max(begin, end - sample) - 1, -1):
            visit = np.uint32(index.item_sessions[place])
            noted = work.visits[visit]
            is_new = noted[0] == 0
            touched[count] = visit
            count += is_new
            noted[0] = row + 1 if is_new else noted[0]
            for source in range(len(weights)):
                noted[source + 1] += weights[source]
    return touched[:count]


@kernel
def _fading(visits: Int32Array, index: SessionIndex, item_reach: float) -> Float64Array:
    """What an item counts at each distance from the shared one, as far as these visits reach.

    A table, because an exponential takes longer than all else that is done with an item.
    """
    longest = 0
    for visit in visits:
        length = index.session_offsets[visit + 1] - index.session_offsets[visit]
        longest = max(longest, length)
    fading = np.empty(max(longest, 1))
    for distance in range(1, longest):
        fading[distance] = np.exp(-(distance - 1) / item_reach)
    return fading


@kernel
def _add_visits(near: Int32Array, touched: Touched, source: int, asked: Asked, work: Work) -> int:
    """Add what the nearest visits say to the scores; how many items have one.

    Parameters
    ----------
    near
        Places among the touched ones.
    """
    met, index, params = asked
    nearness = np.empty(len(met.lags))
    for row in range(len(met.lags)):
        nearness[row] = np.exp(-met.lags[row] / params.seed_reach[source])
    fading = _fading(touched.visits[near], index, params.item_reach[source])
    items, score, found, backward = (
        index.session_items,
        work.score,
        work.found,
        params.backward[source],
    )
    count = 0
    for place in near:
        visit, row = np.uint32(touched.visits[place]), touched.newest[place]
        begin, end = index.session_offsets[visit], index.session_offsets[visit + 1]
        shared = begin
        for step in range(begin, end):
            shared = step if items[step] == met.items[row] else shared
        strength = touched.similarity[source, place] * nearness[row]
        for step in range(begin, end):
            if step == shared:
                continue
            direction = 1.0 if step > shared else backward
            said = np.float32(strength * fading[abs(step - shared)] * direction)
            item = np.uint32(items[step])
            found[count] = item
            count += score[item] == 0
            # Never 0 by underflow: a score of 0 says that the item was not found yet.
            score[item] += max(said, np.float32(1e-30))
    return count
