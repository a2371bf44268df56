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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from recommender.candidates.past_visits import Asked, Met, Params, SessionIndex, Work, list_all
from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.scratch import scratch
from recommender.seeds import Seeds
from recommender.terms import BoolArray

_MAX_SEEDS = 20


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
    _alone: SessionGroup = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        (alone,) = SessionGroup.of({0: self})
        object.__setattr__(self, "_alone", alone)

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of an item: see the module."""
        self._alone.fill(seeds, eligible, proposals.within(slice(row, row + 1)))


@dataclass(frozen=True, slots=True)
class SessionGroup:
    """Sources over the same past visits, asked in one call: to look visits up takes longest."""

    index: SessionIndex
    params: Params

    @classmethod
    def of(cls, sources: Mapping[int, SessionKnnSource]) -> tuple[SessionGroup, ...]:
        """These sources, by the row of the proposals that each one fills."""
        alike: dict[tuple[int, float], dict[int, SessionKnnSource]] = {}
        for row, each in sources.items():
            visits = (each.index.session_items.ctypes.data, each.params.sample)
            alike.setdefault(visits, {})[row] = each
        return tuple(cls._of_alike(those) for those in alike.values())

    @classmethod
    def _of_alike(cls, sources: Mapping[int, SessionKnnSource]) -> SessionGroup:
        first, *_ = listed = [*sources.values()]
        k = np.array([int(each.params.k) for each in listed], np.int64)
        reaches = np.array([each.params[2:] for each in listed], np.float64).T.copy()
        rows, sample = np.array([*sources], np.int64), int(first.params.sample)
        return cls(first.index, Params(rows, sample, k, *reaches))

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals) -> None:
        """Note what each source proposes, as far as the proposals have a row for it."""
        visits, catalogue = len(self.index.session_offsets) - 1, len(eligible)
        columns = len(self.params.rows) + 1
        work = Work(
            scratch(f"visits_{columns}", visits * columns, np.float32).reshape(visits, columns),
            scratch("item_score", catalogue, np.float32),
            scratch("item_found", catalogue + 1, np.int32),
        )
        asked = Asked(Met(*seeds.distinct(_MAX_SEEDS)), self.index, self.params)
        list_all(asked, work, eligible, proposals.rows)
