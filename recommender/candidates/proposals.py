"""What the sources of a model propose to one shopper, in one piece of memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from recommender.scratch import scratch
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Float32Array, Int32Array, Int64Array

Rows: TypeAlias = tuple[Int32Array, Float32Array, Int64Array]
"""The arrays of proposals, as kernels take them."""


@dataclass(frozen=True, slots=True)
class Proposals(Mapping[str, ScoredItems]):
    """One row per source that was asked; as a mapping, the items of each source, best first.

    Parameters
    ----------
    names
        The sources, s of them.
    item_idx, scores
        int32 and float32 (s, n): in the first `counts` places of a row no item is twice and every
        score is positive, the best one stands first, the others in no order.
    counts
        How many each source proposes, int64 (s,).
    catalogue_size
        Items that there are.
    """

    names: tuple[str, ...]
    item_idx: Int32Array
    scores: Float32Array
    counts: Int64Array
    catalogue_size: int

    @classmethod
    def empty(cls, names: tuple[str, ...], n: int, catalogue_size: int) -> Proposals:
        """Room for n items of each source, none of which proposes any yet."""
        item_idx = np.empty((len(names), n), np.int32)
        scores = np.empty((len(names), n), np.float32)
        return cls(names, item_idx, scores, np.zeros(len(names), np.int64), catalogue_size)

    @classmethod
    def of(cls, proposed: Mapping[str, ScoredItems]) -> Proposals:
        """The same of what each source proposes, best first."""
        listed = list(proposed.values())
        most = max((len(each) for each in listed), default=0)
        last = max((int(each.item_idx.max(initial=0)) for each in listed), default=0)
        found = cls.empty(tuple(proposed), most, last + 1)
        for row, each in enumerate(listed):
            found.keep(row, each.item_idx, each.scores)
        return found

    @property
    def rows(self) -> Rows:
        """The arrays."""
        return self.item_idx, self.scores, self.counts

    def row(self, row: int) -> tuple[Int32Array, Float32Array]:
        """Where one source writes its items and their scores, int32 and float32 (n,)."""
        return self.item_idx[row], self.scores[row]

    @property
    def room(self) -> int:
        """How many items each source may propose."""
        return int(self.item_idx.shape[1])

    @property
    def place_of(self) -> Int32Array:
        """Room for a number of each item, int32 (items,): zero, and to be left so."""
        return scratch("pool_place", self.catalogue_size, np.int32)

    def pool(self) -> Int32Array:
        """What all of them propose, as it comes, each item once: int32 (m,)."""
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.pooling import everything

        return everything(self.rows, self.place_of)

    def within(self, rows: slice) -> Proposals:
        """The rows of some sources: what is noted there is noted here."""
        item_idx, scores, counts = self.item_idx[rows], self.scores[rows], self.counts[rows]
        return Proposals(self.names[rows], item_idx, scores, counts, self.catalogue_size)

    def keep(self, row: int, item_idx: Int32Array, scores: Float32Array) -> None:
        """Note the best of these items for one source, as many as its row has room for."""
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.candidates.best import keep_best

        self.counts[row] = keep_best(item_idx, scores, *self.row(row))

    def keep_of_all(self, row: int, scores: Float32Array, eligible: BoolArray) -> None:
        """The same of a score for each item of the catalogue; the scores are used up."""
        from recommender.candidates.best import keep_best_of_all

        self.counts[row] = keep_best_of_all(scores, eligible, *self.row(row))

    def __getitem__(self, name: str) -> ScoredItems:
        if name not in self.names:
            raise KeyError(name)
        from recommender.candidates.best import ordered

        row = self.names.index(name)
        count = int(self.counts[row])
        return ScoredItems(*ordered(self.item_idx[row, :count], self.scores[row, :count]))

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
