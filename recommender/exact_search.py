"""The n largest inner products of a query with all items, exactly, without reading all vectors.

A scan of a large catalogue waits for memory, so most items are judged by a byte per number:

- Item i is kept as codes c_i, integers from -127 to 127, and a scale s_i: ŷ_i = s_i c_i. The length
  e_i of what is lost, y_i - ŷ_i, is kept as well. The query u is coded alike in 16 bits, û. Then
  y_i · u = ŷ_i · û + (y_i - ŷ_i) · û + y_i · (u - û), and by Cauchy and Schwarz the score differs
  from ŷ_i · û, a product of integers, by no more than e_i |û| + |y_i| |u - û|. What rounding may
  add to numpy's own product is added to this margin (Higham 2002, *Accuracy and stability of
  numerical algorithms*, § 3.1: |y_i| |u| F ε / (1 - F ε) for F numbers, whatever their order).
- n items score at least the n-th largest lower bound. Whatever cannot reach it is out.
- Items are in order of falling |y_i|: once |y_i| |u| is below that bound, so is all that follows.

What is left, few more than n, is scored by numpy with the vectors themselves. So nothing is
approximate: which items are looked at depends on the codes, what comes out does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.read_only import read_only
from recommender.search_bounds import EPSILON, Int8Array, Parts, encode, survivors
from recommender.terms import BoolArray, Float32Array, Int32Array

# Rows of numbers that BLAS takes at once; the few that are left over it may sum in another order.
_ROWS_AT_ONCE: Final = 16
# Of all items: where fewer are eligible, these are scored and nothing else is looked at.
_FEW: Final = 1 / 32
# Of all items: where the bounds leave more, one product with all of them is quicker.
_MANY: Final = 1 / 8


@dataclass(frozen=True, slots=True)
class ExactIndex:
    """Items to search; see the module for the notation.

    It takes factors + 17 bytes an item beside the vectors themselves, which it refers to.

    Parameters
    ----------
    vectors
        All items, float32 (items, factors), finite, C-contiguous.
    is_member
        Which may ever be found, bool (items,).
    members
        These, by falling |y|, ties by index; int32 (m,).
    codes
        c of each member, int8 (m, factors).
    scales, errors, norms
        s, e and |y| of each member, float32 (m,); the last two are never less than they really are.
    """

    vectors: Float32Array
    is_member: BoolArray
    members: Int32Array
    codes: Int8Array
    scales: Float32Array
    errors: Float32Array
    norms: Float32Array

    @classmethod
    def of(cls, vectors: Float32Array, members: Int32Array | None = None) -> ExactIndex:
        """Index of these vectors, ready to be asked: its kernels are compiled by now.

        Parameters
        ----------
        members
            Indices that may ever be found, int32 (m,), ascending; None: all.
        """
        vectors = read_only(vectors)
        if members is None:
            members = np.arange(len(vectors), dtype=np.int32)
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)[members]
        norms = (np.sqrt(squares) * (1 + 4 * EPSILON)).astype(np.float32)
        order = np.argsort(-norms, kind="stable")
        is_member = np.zeros(len(vectors), np.bool_)
        is_member[members] = True
        members = read_only(members[order])
        codes = np.empty((len(members), vectors.shape[1]), np.int8)
        scales, errors = np.empty(len(members), np.float32), np.empty(len(members), np.float32)
        encode(vectors, members, codes, scales, errors)
        parts = (is_member, members, codes, scales, errors, norms[order])
        index = cls(vectors, *map(read_only, parts))
        index.survivors(np.zeros(vectors.shape[1], np.float32), np.zeros(len(vectors), np.bool_), 1)
        return index

    @property
    def nbytes(self) -> int:
        """Bytes that it takes beside the vectors."""
        parts = (self.is_member, *self._parts)
        return sum(part.nbytes for part in parts)

    @property
    def _parts(self) -> Parts:
        return (self.members, self.codes, self.scales, self.errors, self.norms)

    def contenders(
        self,
        query: Float32Array,
        eligible: BoolArray,
        n: int,
        *,
        above: float = 0.0,
        within: float = 0.0,
    ) -> tuple[Int32Array, Float32Array]:
        """Every eligible member that may be among the n best, with its product, and few others.

        Parameters
        ----------
        query
            u, float32 (factors,), finite.
        eligible
            bool (items,).
        above
            Only larger products are asked for.
        within
            Those that are less than this behind the n-th best are contenders too: for scores in
            which products so near to each other may tie.

        Returns
        -------
        Items, int32 (c,), and ``(vectors @ query)[items]``, float32 (c,).
        """
        if np.count_nonzero(eligible) <= len(self.vectors) * _FEW:
            items = np.flatnonzero(eligible & self.is_member).astype(np.int32)
            return items, products(self.vectors, items, query)
        items = self.survivors(query, eligible, n, above=above, within=within)
        if len(items) <= len(self.vectors) * _MANY:
            return items, products(self.vectors, items, query)
        return items, (self.vectors @ query)[items]

    def survivors(
        self,
        query: Float32Array,
        eligible: BoolArray,
        n: int,
        *,
        above: float = 0.0,
        within: float = 0.0,
    ) -> Int32Array:
        """What the bounds leave of the eligible members, int32 (c,); see `contenders`."""
        asked = (read_only(query), read_only(eligible), n, float(above), float(within))
        return survivors(self._parts, *asked)


def products(vectors: Float32Array, items: Int32Array, query: Float32Array) -> Float32Array:
    """``(vectors @ query)[items]`` without the other products, float32 (m,).

    BLAS takes several rows at once, and sums those left over at the end in another order: here the
    same rows are left over as there, so that the numbers are the same to the last bit.
    """
    if len(vectors) <= 2 * _ROWS_AT_ONCE:  # nothing is saved, and of one row numpy asks no BLAS
        return (vectors @ query)[items]
    whole = len(vectors) - len(vectors) % _ROWS_AT_ONCE
    filling = -len(items) % _ROWS_AT_ONCE
    rows = np.concatenate([items, np.zeros(filling, np.int32), np.arange(whole, len(vectors))])
    found = vectors[rows] @ query
    scores: Float32Array = found[: len(items)]
    is_left_over = items >= whole
    scores[is_left_over] = found[len(items) + filling + items[is_left_over] - whole]
    return scores
