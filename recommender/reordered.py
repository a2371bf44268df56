"""A ranking in another order that is not carried out yet: mostly its first rows are wanted."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.ranking import Ranking
from recommender.terms import Float32Array, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class Reordered:
    """Some rows of a ranking.

    Parameters
    ----------
    ranking
        As it was.
    rows
        Its rows in the new order, int64 (n,); None: as it is.
    item_idx, scores
        In the new order, int32 and float32 (n,).
    """

    ranking: Ranking
    rows: Int64Array | None
    item_idx: Int32Array
    scores: Float32Array

    @classmethod
    def of(cls, ranking: Ranking) -> Reordered:
        """A ranking as it is."""
        return cls(ranking, None, ranking.item_idx, ranking.scores)

    def __len__(self) -> int:
        return len(self.item_idx)

    def take(self, rows: Int64Array) -> Reordered:
        """These rows of it, in this order, each with the score that it has."""
        own = rows if self.rows is None else self.rows[rows]
        return Reordered(self.ranking, own, self.item_idx[rows], self.scores[rows])

    def first(self, most: int) -> Ranking:
        """The first so many rows."""
        rows = slice(most) if self.rows is None else self.rows[:most]
        origins, known = self.ranking.origins[rows], self.ranking.known
        return Ranking(self.item_idx[:most], self.scores[:most], origins, known)
