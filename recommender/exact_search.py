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
import numpy.typing as npt

from recommender.compiled import kernel
from recommender.read_only import read_only
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array

Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]

_LARGEST_CODE: Final = 127
_LARGEST_QUERY_CODE: Final = 32_767
_BLOCK: Final = 64
# Rows of numbers that BLAS takes at once; the few that are left over it may sum in another order.
_ROWS_AT_ONCE: Final = 16
# Of all items: where fewer are eligible, these are scored and nothing else is looked at.
_FEW: Final = 1 / 32
# Of all items: where the bounds leave more, one product with all of them is quicker.
_MANY: Final = 1 / 8
_EPSILON: Final = float(np.finfo(np.float32).eps) / 2
_TINY: Final = float(np.finfo(np.float32).tiny)
_EVERYTHING: Final = -np.inf


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
        norms = (np.sqrt(squares) * (1 + 4 * _EPSILON)).astype(np.float32)
        order = np.argsort(-norms, kind="stable")
        is_member = np.zeros(len(vectors), np.bool_)
        is_member[members] = True
        members = read_only(members[order])
        codes = np.empty((len(members), vectors.shape[1]), np.int8)
        scales, errors = np.empty(len(members), np.float32), np.empty(len(members), np.float32)
        _encode(vectors, members, codes, scales, errors)
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
    def _parts(self) -> tuple[Int32Array, Int8Array, Float32Array, Float32Array, Float32Array]:
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
        return _survivors(self._parts, *asked)


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


@kernel
def _query_codes(query: Float32Array) -> tuple[Int16Array, float, float, float, float]:
    """Codes of u, int16 (factors,), their scale, and |u|, |û| and |u - û|."""
    factors = query.shape[0]
    highest = 0.0
    for column in range(factors):
        highest = max(highest, abs(float(query[column])))
    # Sums of products of two codes have to fit into 32 bits.
    scale = highest / min(_LARGEST_QUERY_CODE, (2**31 - 1) // (_LARGEST_CODE * max(1, factors)))
    codes = np.zeros(factors, np.int16)
    length, code_length, lost = 0.0, 0.0, 0.0
    for column in range(factors):
        value = float(query[column])
        code = np.rint(value / scale) if scale > 0 else 0.0
        codes[column] = np.int16(code)
        length += value * value
        code_length += code * scale * code * scale
        lost += (value - code * scale) ** 2
    return codes, scale, np.sqrt(length), np.sqrt(code_length), np.sqrt(lost)


@kernel
def _encode(
    vectors: Float32Array,
    members: Int32Array,
    codes: Int8Array,
    scales: Float32Array,
    errors: Float32Array,
) -> None:
    for place in range(members.shape[0]):
        row = vectors[members[place]]
        largest = np.float32(0)
        for column in range(row.shape[0]):
            largest = max(largest, abs(row[column]))
        scale = np.float32(largest / _LARGEST_CODE)
        lost = 0.0
        for column in range(row.shape[0]):
            code = 0.0
            if scale > 0:
                code = np.rint(float(row[column]) / float(scale))
                code = min(max(code, -_LARGEST_CODE), _LARGEST_CODE)
            codes[place, column] = np.int8(code)
            rest = float(row[column]) - code * float(scale)
            lost += rest * rest
        scales[place] = scale
        errors[place] = np.sqrt(lost) * (1 + 4 * _EPSILON)


@kernel
def _product(codes: Int8Array, query: Int16Array) -> np.int32:
    # All in 32 bits, or LLVM does not make it the few instructions for pairs of small integers.
    total = np.int32(0)
    for column in range(codes.shape[0]):
        total = np.int32(total + np.int32(np.int32(codes[column]) * np.int32(query[column])))
    return total


@kernel
def _survivors(
    parts: tuple[Int32Array, Int8Array, Float32Array, Float32Array, Float32Array],
    query: Float32Array,
    eligible: BoolArray,
    n: int,
    above: float,
    within: float,
) -> Int32Array:
    """Eligible members that may be among the n best, in no order."""
    members, codes, scales, errors, norms = parts
    asked, unit, length, code_length, lost = _query_codes(query)
    # Twice the bound of the module: the lengths are rounded as well.
    rounding = 2 * (query.shape[0] + 2) * _EPSILON * length
    lost, length = lost + rounding, length + rounding
    found = np.empty(members.shape[0], np.int32)
    highest = np.empty(members.shape[0], np.float64)
    best = np.full(n, _EVERYTHING)
    count = 0
    underflow = _TINY * query.shape[0]
    for place in range(members.shape[0]):
        least = best[0] - within
        if place % _BLOCK == 0 and norms[place] * length + underflow < max(least, above):
            break
        middle = _product(codes[place], asked) * scales[place] * unit
        margin = errors[place] * code_length + norms[place] * lost + underflow
        if middle + margin < least or middle + margin <= above or not eligible[members[place]]:
            continue
        found[count], highest[count] = members[place], middle + margin
        count += 1
        if middle - margin > best[0]:
            _replace_least(best, middle - margin)
    kept = 0
    for place in range(count):
        found[kept] = found[place]
        kept += highest[place] >= best[0] - within
    return found[:kept].copy()


@kernel
def _replace_least(heap: Float64Array, value: float) -> None:
    """Put a value in the place of the least one, which is the first of a binary heap."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= heap.shape[0]:
            break
        if child + 1 < heap.shape[0] and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value
