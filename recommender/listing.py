"""The best of a ranking as plain lists.

From here on rows are looked at one by one, and a list gives one several times faster than an array.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from recommender.ranking import Origin, Ranking


@dataclass(frozen=True, slots=True)
class Listing:
    """Items, scores and origins as those of `Ranking`, best first; not to be changed."""

    items: list[int]
    scores: list[float]
    origins: list[Origin]

    @classmethod
    def of(cls, ranking: Ranking, most: int | None = None) -> Listing:
        """The first so many rows of a ranking; all without a number."""
        return cls(
            ranking.item_idx[:most].tolist(),
            ranking.scores[:most].tolist(),
            ranking.listed_origins(most),
        )

    def __len__(self) -> int:
        return len(self.items)

    def first(self, most: int) -> Listing:
        """The first so many rows."""
        if most >= len(self.items):
            return self
        return Listing(self.items[:most], self.scores[:most], self.origins[:most])

    def take(self, rows: Iterable[int]) -> Listing:
        """These rows, in this order, each with the score that it has."""
        kept = [*rows]
        return Listing(
            [self.items[row] for row in kept],
            [self.scores[row] for row in kept],
            [self.origins[row] for row in kept],
        )

    def joined(self, below: Listing) -> Listing:
        """These rows, and others below them."""
        if not below.items:
            return self
        return Listing(
            self.items + below.items,
            self.scores + below.scores,
            self.origins + below.origins,
        )

    def falling(self) -> Listing:
        """The same rows with no score above the one before it."""
        return Listing(self.items, [*accumulate(self.scores, min)], self.origins)


NO_LISTING: Final = Listing([], [], [])
