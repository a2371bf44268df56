"""Items of past visits that resemble the running one: session k-nearest-neighbours.

Notation: the running visit is its distinct items i, each with a lag a_i (0: the newest); past
visits s are bags of items in an order. Similar to vector multiplication with decays, *VMSKNN*, of
Ludewig and Jannach 2018 (https://arxiv.org/abs/1803.09587):

    sim(s)   = Σ_{i ∈ s} idf_i · exp(-a_i / seed_reach) / sqrt(|s|)
    score(j) = Σ_{s ∈ k nearest, j ∈ s} sim(s) · exp(-a_s / seed_reach)
               · exp(-(|d| - 1) / item_reach) · (1 if d > 0 else backward)

where a_s is the smallest lag among the items that s shares, and d how many steps after that item j
stands in s. Of the visits with an item only the latest `sample` are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recommender.candidates.best import keep_best, ordered
from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.compiled import kernel
from recommender.scratch import scratch
from recommender.seeds import Seeds
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array

_MAX_SEEDS = 20


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


class SessionKnnParams(NamedTuple):
    """See the formulas of this module; all above 0."""

    k: float
    sample: float
    seed_reach: float
    item_reach: float
    backward: float


@dataclass(frozen=True, slots=True)
class SessionKnnSource(CandidateSource):
    """Scores items of the visits nearest to the newest `_MAX_SEEDS` distinct seeds."""

    index: SessionIndex
    params: SessionKnnParams

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of an item: see the module."""
        visits, catalogue = len(self.index.session_offsets) - 1, len(eligible)
        work = Work(
            scratch("session_similarity", visits, np.float32),
            scratch("session_row", visits, np.int32),
            scratch("item_score", catalogue, np.float32),
            scratch("item_found", catalogue + 1, np.int32),
        )
        met = Met(*seeds.distinct(_MAX_SEEDS))
        proposals.counts[row] = _score(
            met, self.index, self.params, work, eligible, proposals.row(row)
        )


class Met(NamedTuple):
    """What the visit met: distinct items and the lag of each, newest first, int32 (n,)."""

    items: Int32Array
    lags: Int32Array


class Work(NamedTuple):
    """Arrays to work in.

    Parameters
    ----------
    similarity
        float32 (visits,); zero, and zero again at the end.
    row
        Newest met item that a visit shares, int32 (visits,); read where `similarity` is not 0.
    score
        float32 (items,); zero, and zero again at the end.
    found
        The items with a score, int32 (items + 1,).
    """

    similarity: Float32Array
    row: Int32Array
    score: Float32Array
    found: Int32Array


@kernel
def _score(
    met: Met,
    index: SessionIndex,
    params: SessionKnnParams,
    work: Work,
    eligible: BoolArray,
    into: tuple[Int32Array, Float32Array],
) -> int:
    visits, similarity = _nearest(met, index, params, work)
    count = _add_visits(visits, similarity, met, index, params, work)
    scores = np.empty(count, np.float32)
    for place in range(count):
        item = work.found[place]
        scores[place] = work.score[item] if eligible[item] else 0
        work.score[item] = 0
    return keep_best(work.found[:count], scores, into[0], into[1])


@kernel
def _nearest(
    met: Met, index: SessionIndex, params: SessionKnnParams, work: Work
) -> tuple[Int32Array, Float32Array]:
    """The k visits most like the running one and their similarity, most alike first.

    Of visits that are alike, the one that was touched first is nearer.
    """
    touched = _touch(met, index, params, work)
    similarity = np.empty(len(touched), np.float32)
    for place in range(len(touched)):
        visit = touched[place]
        length = index.session_offsets[visit + 1] - index.session_offsets[visit]
        similarity[place] = work.similarity[visit] / np.sqrt(np.float32(length))
        work.similarity[visit] = 0
    places = np.arange(len(touched), dtype=np.int32)
    k = int(params.k)
    if len(touched) > k:
        near, worth = np.empty(k, np.int32), np.empty(k, np.float32)
        count = keep_best(places, similarity, near, worth)
        places, similarity = near[:count], worth[:count]
    places, similarity = ordered(places, similarity)
    return touched[places], similarity


@kernel
def _touch(met: Met, index: SessionIndex, params: SessionKnnParams, work: Work) -> Int32Array:
    """The latest visits with each met item, newest first; what they share is added up in `work`."""
    sample, visits = int(params.sample), index.session_offsets.shape[0] - 1
    most = 0
    for item in met.items:
        most += index.item_sessions_offsets[item + 1] - index.item_sessions_offsets[item]
    # One place more than are needed: each is written before it is known to be new.
    touched = np.empty(min(most, sample * met.items.shape[0]) + 1, np.int32)
    count = 0
    for row in range(met.items.shape[0]):
        begin = index.item_sessions_offsets[met.items[row]]
        end = index.item_sessions_offsets[met.items[row] + 1]
        idf = np.log(1 + visits / max(end - begin, 1))
        weight = np.float32(idf * np.exp(-met.lags[row] / params.seed_reach))
        for place in range(end - 1, max(begin, end - sample) - 1, -1):
            visit = np.uint32(index.item_sessions[place])
            is_new = work.similarity[visit] == 0
            touched[count] = visit
            count += is_new
            work.row[visit] = row if is_new else work.row[visit]
            work.similarity[visit] += weight
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
def _add_visits(
    visits: Int32Array,
    similarity: Float32Array,
    met: Met,
    index: SessionIndex,
    params: SessionKnnParams,
    work: Work,
) -> int:
    """Add what each visit says to the scores; how many items have one."""
    nearness = np.empty(len(met.lags))
    for row in range(len(met.lags)):
        nearness[row] = np.exp(-met.lags[row] / params.seed_reach)
    fading = _fading(visits, index, params.item_reach)
    items, score, found, backward = index.session_items, work.score, work.found, params.backward
    count = 0
    for place in range(len(visits)):
        visit = np.uint32(visits[place])
        row = work.row[visit]
        begin, end = index.session_offsets[visit], index.session_offsets[visit + 1]
        shared = begin
        for step in range(begin, end):
            shared = step if items[step] == met.items[row] else shared
        strength = similarity[place] * nearness[row]
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
