"""The buckets of many subjects at once: what `recommender.bucketing` says of each, compiled.

For simulation and for whole files of ids; importing it imports numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recommender.bucketing import NO_RANGE, Range, fnv1a32
from recommender.compiled import kernel
from recommender.terms import Float64Array, Int64Array

_PRIME = 0x01000193
_OFFSET = 0x811C9DC5


def buckets_of(seed: str, values: Sequence[str]) -> Float64Array:
    """`recommender.bucketing.bucket_of` with version 2 of many subjects, float64 (values,).

    A million ids take about a second.
    """
    units = np.frombuffer("".join(values).encode("utf-16-le", "surrogatepass"), np.uint16)
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    if lengths.sum() != len(units):  # somewhere a character of two code units
        lengths = np.fromiter(map(_code_units, values), np.int64, len(values))
    return _buckets(units, np.cumsum(lengths), fnv1a32(seed))


def chosen_ranges(buckets: Float64Array, ranges: Sequence[Range]) -> Int64Array:
    """`recommender.bucketing.chosen_range` of many, int64 (buckets,)."""
    chosen = np.full(len(buckets), NO_RANGE, np.int64)
    for index, (start, end) in reversed(list(enumerate(ranges))):
        chosen[(start <= buckets) & (buckets < end)] = index
    return chosen


def _code_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@kernel
def _buckets(units: Any, ends: Int64Array, seeded: int) -> Float64Array:
    """Code units uint16 of all ids in a row, the end of each, the hash of the seed → float64."""
    result = np.empty(len(ends), np.float64)
    digits = np.empty(10, np.int64)
    begin = 0
    for index in range(len(ends)):
        state = np.int64(seeded)  # the hash of seed and id goes on where that of the seed ended
        for place in range(begin, ends[index]):
            state = ((state ^ np.int64(units[place])) * _PRIME) & 0xFFFFFFFF
        begin = ends[index]
        count = 0
        while state > 0 or count == 0:
            digits[count] = state % 10
            state //= 10
            count += 1
        state = np.int64(_OFFSET)
        for place in range(count - 1, -1, -1):
            state = ((state ^ (digits[place] + 48)) * _PRIME) & 0xFFFFFFFF
        result[index] = (state % 10_000) / 10_000
    return result
