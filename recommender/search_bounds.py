"""The kernels of `recommender.exact_search`: codes, and what they say of each product.

Notation: as there. Items are looked at in blocks, whose bounds are worked out many at once: most
blocks have nothing that may still be among the best.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from recommender.compiled import kernel
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array

Int8Array: TypeAlias = npt.NDArray[np.int8]
Int16Array: TypeAlias = npt.NDArray[np.int16]
Parts: TypeAlias = tuple[Int32Array, Int8Array, Float32Array, Float32Array, Float32Array]
"""Members, codes, scales, errors and norms of `recommender.exact_search.ExactIndex`."""

EPSILON: Final = float(np.finfo(np.float32).eps) / 2
_LARGEST_CODE: Final = 127
_LARGEST_QUERY_CODE: Final = 32_767
_BLOCK: Final = 64
_TINY: Final = float(np.finfo(np.float32).tiny)
_EVERYTHING: Final = -np.inf


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
def encode(
    vectors: Float32Array,
    members: Int32Array,
    codes: Int8Array,
    scales: Float32Array,
    errors: Float32Array,
) -> None:
    """Write the codes, the scale and the error of each member."""
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
        errors[place] = np.sqrt(lost) * (1 + 4 * EPSILON)


@kernel
def _product(codes: Int8Array, query: Int16Array) -> np.int32:
    # All in 32 bits, or LLVM does not make it the few instructions for pairs of small integers.
    total = np.int32(0)
    for column in range(codes.shape[0]):
        total = np.int32(total + np.int32(np.int32(codes[column]) * np.int32(query[column])))
    return total


@kernel
def survivors(
    parts: Parts,
    query: Float32Array,
    eligible: BoolArray,
    n: int,
    above: float,
    within: float,
) -> Int32Array:
    """Eligible members that may be among the n best, in no order, int32 (c,)."""
    members, codes, scales, errors, norms = parts
    asked, unit, length, code_length, lost = _query_codes(query)
    # Twice the bound of the module: the lengths are rounded as well.
    rounding = 2 * (query.shape[0] + 2) * EPSILON * length
    lost, length = lost + rounding, length + rounding
    underflow = _TINY * query.shape[0]
    found = np.empty(members.shape[0], np.int32)
    highest = np.empty(members.shape[0], np.float64)
    best = np.full(n, _EVERYTHING)
    count = 0
    product, low, high = np.empty(_BLOCK, np.int32), np.empty(_BLOCK), np.empty(_BLOCK)
    for first in range(0, members.shape[0], _BLOCK):
        least = max(best[0] - within, above)
        if norms[first] * length + underflow < least:
            break
        end = min(first + _BLOCK, members.shape[0])
        for place in range(first, end):
            product[place - first] = _product(codes[place], asked)
        sizes = (scales[first:end], errors[first:end], norms[first:end])
        _bound(product, low, high, sizes, (unit, code_length, lost, underflow))
        if _reaching(high[: end - first], least) > 0:
            bounds = (low, high, best)
            into = (found[count:], highest[count:])
            count += _noted(members[first:end], bounds, eligible, (above, within), into)
    kept = 0
    for place in range(count):
        found[kept] = found[place]
        kept += highest[place] >= best[0] - within
    return found[:kept].copy()


@kernel
def _bound(
    product: Int32Array,
    low: Float64Array,
    high: Float64Array,
    sizes: tuple[Float32Array, Float32Array, Float32Array],
    query: tuple[float, float, float, float],
) -> None:
    """Lower and upper bounds of a block of items, from the products of their codes.

    Parameters
    ----------
    sizes
        s, e and |y| of each item.
    query
        Scale of the query's codes, |û|, |u - û|, and what underflow may take away.
    """
    scales, errors, norms = sizes
    unit, code_length, lost, underflow = query
    for at in range(len(scales)):
        middle = product[at] * scales[at] * unit
        margin = errors[at] * code_length + norms[at] * lost + underflow
        low[at], high[at] = middle - margin, middle + margin


@kernel
def _reaching(high: Float64Array, least: float) -> int:
    """How many reach a bound: counted without a branch, many at once."""
    count = 0
    for at in range(len(high)):
        count += int(high[at] >= least)
    return count


@kernel
def _noted(
    members: Int32Array,
    bounds: tuple[Float64Array, Float64Array, Float64Array],
    eligible: BoolArray,
    limits: tuple[float, float],
    into: tuple[Int32Array, Float64Array],
) -> int:
    """Write down what of a block may be among the best, with its upper bound; how many there are.

    Parameters
    ----------
    bounds
        Lower and upper bound of each, and the best lower bounds so far, a heap.
    limits
        `above` and `within` of `recommender.exact_search.ExactIndex.contenders`.
    """
    low, high, best = bounds
    above, within = limits
    count = 0
    for at in range(len(members)):
        if high[at] < best[0] - within or high[at] <= above or not eligible[members[at]]:
            continue
        into[0][count], into[1][count] = members[at], high[at]
        count += 1
        if low[at] > best[0]:
            _replace_least(best, low[at])
    return count


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
