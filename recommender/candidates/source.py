"""What a candidate source is, and what all of them share."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from recommender.candidates.proposals import Proposals
from recommender.read_only import read_only
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Int32Array


class CandidateSource(Protocol):
    """Proposes items for a shopper."""

    __slots__ = ()

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Note at most n eligible items in a row of the proposals, in the way that they say.

        Parameters
        ----------
        eligible
            bool (items,); only these may be proposed.
        """
        ...

    def candidates(self, seeds: Seeds, eligible: BoolArray, n: int) -> ScoredItems:
        """At most n eligible items with a positive score, best first.

        Parameters
        ----------
        eligible
            bool (items,); only these may be proposed.
        """
        found = Proposals.empty(("alone",), n, len(eligible))
        self.fill(seeds, eligible, found, 0)
        return found["alone"]


@runtime_checkable
class PoolSource(CandidateSource, Protocol):
    """A source that can also choose from what others propose."""

    __slots__ = ()

    @property
    def is_of_pool(self) -> bool:
        """Whether it does, where they propose enough to choose from."""
        ...

    def fill_from(self, pool: Int32Array, seeds: Seeds, proposals: Proposals, row: int) -> None:
        """Note at most n items of a pool, int32 (m,), none of them twice."""
        ...


def first_eligible(order: Int32Array, eligible: BoolArray, n: int) -> Int32Array:
    """The first n eligible items of an order, int32 (≤ n,), without looking at all of it."""
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.candidates.best import first

    return first(read_only(order), eligible, n)
