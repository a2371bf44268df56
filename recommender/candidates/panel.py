"""The sources that take part at a placement, asked together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recommender.candidates.neighbours import NeighbourGroup, NeighbourSource
from recommender.candidates.proposals import Proposals
from recommender.candidates.session_knn import SessionGroup, SessionKnnSource
from recommender.candidates.source import CandidateSource, PoolSource
from recommender.patience import ENDLESS, Patience
from recommender.seeds import Seeds
from recommender.terms import BoolArray


@dataclass(frozen=True, slots=True)
class Panel:
    """Sources in their order.

    Parameters
    ----------
    names
        All of them.
    alone
        Each that is asked by itself; None for the others.
    groups
        Those with neighbour lists, and those with past visits.
    choosing
        Those that choose from what the others propose, by their row.
    """

    names: tuple[str, ...]
    alone: tuple[CandidateSource | None, ...]
    groups: tuple[NeighbourGroup | SessionGroup, ...]
    choosing: Mapping[int, PoolSource]

    @classmethod
    def of(cls, sources: Mapping[str, CandidateSource]) -> Panel:
        """All of these sources."""
        rows = dict(enumerate(sources.values()))
        listed = {row: each for row, each in rows.items() if isinstance(each, NeighbourSource)}
        visiting = {row: each for row, each in rows.items() if isinstance(each, SessionKnnSource)}
        choosing = {
            row: each
            for row, each in rows.items()
            if isinstance(each, PoolSource) and each.is_of_pool
        }
        later = listed.keys() | visiting.keys() | choosing.keys()
        alone = [None if row in later else each for row, each in rows.items()]
        groups: tuple[NeighbourGroup | SessionGroup, ...] = NeighbourGroup.of(listed)
        groups += SessionGroup.of(visiting)
        return cls(tuple(sources), tuple(alone), groups, choosing)

    def propose(
        self, seeds: Seeds, eligible: BoolArray, n: int, patience: Patience = ENDLESS
    ) -> Proposals:
        """At most n candidates of each source, as long as there is time.

        Groups take little time: those that it was not too late for are looked at in the end,
        and then those that choose.

        Parameters
        ----------
        eligible
            bool (items,); only these may be proposed.
        """
        found = Proposals.empty(self.names, n, len(eligible))
        for row, (name, source) in enumerate(zip(self.names, self.alone, strict=True)):
            if patience.runs_out(name):
                found = found.within(slice(row))
                break
            if source is not None:
                source.fill(seeds, eligible, found, row)
        for group in self.groups:
            group.fill(seeds, eligible, found)
        if self.choosing:
            self._choose(seeds, eligible, found)
        return found

    def _choose(self, seeds: Seeds, eligible: BoolArray, found: Proposals) -> None:
        """What the sources say that choose from a pool; from the catalogue where that is small."""
        pool = found.pool()
        for row, source in self.choosing.items():
            if row >= len(found):
                continue
            if len(pool) < found.room:
                source.fill(seeds, eligible, found, row)
            else:
                source.fill_from(pool, seeds, found, row)
