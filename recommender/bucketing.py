"""From a subject to a number in [0, 1), and from the number to one of several ranges.

The hash of the GrowthBook SDKs, written from its public specification, so that any of them puts a
subject into the same arm. Version 1 gives 1,000 numbers and is biased: two tests of one site agree
for too many subjects. It is here for namespaces, which that specification binds to it, and for the
shared vectors; new experiments use version 2, which gives 10,000.

Notation
--------
seed
    Text that belongs to an experiment: other seeds shuffle the subjects anew.
value
    Id of the subject. Opaque: never trimmed, folded or parsed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, TypeAlias

from recommender.errors import InvalidInputError

BIASED, UNBIASED = 1, 2
BUCKETS: Final = {BIASED: 1_000, UNBIASED: 10_000}
NO_RANGE: Final = -1
Range: TypeAlias = tuple[float, float]
_OFFSET, _PRIME, _MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def fnv1a32(text: str) -> int:
    """32-bit FNV-1a over the UTF-16 code units of a text.

    Not over its UTF-8 bytes: ids outside ASCII would land elsewhere than with the SDKs, which hash
    what JavaScript calls characters. A lone surrogate is a code unit like any other.
    """
    result = _OFFSET
    if text.isascii():
        units: Iterable[int] = text.encode("ascii")
    else:
        units = memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
    for unit in units:
        result = ((result ^ unit) * _PRIME) & _MASK
    return result


def bucket_of(seed: str, value: str, version: int = UNBIASED) -> float | None:
    """Where a subject falls, in [0, 1); None for a version that does not exist."""
    if version == UNBIASED:
        return fnv1a32(f"{fnv1a32(seed + value)}") % 10_000 / 10_000
    if version == BIASED:
        return fnv1a32(value + seed) % 1_000 / 1_000
    return None


def equal_weights(n: int) -> tuple[float, ...]:
    """As many equal weights as there are arms; none for no arms."""
    return (1.0 / n,) * n if n > 0 else ()


def ranges_of(n: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> list[Range]:
    """The range of each arm.

    Each begins where the weights before it end and is as long as coverage times its weight: with
    another coverage an arm grows or shrinks within its own, and nobody changes arms.

    Parameters
    ----------
    coverage
        Share of subjects that take part, taken as 0 or 1 where it lies beyond.
    weights
        Of the arms; not as many, or not adding up to 1 within a hundredth, means equal ones.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if not weights or len(weights) != n or not 0.99 <= sum(weights) <= 1.01:
        weights = equal_weights(n)
    starts = accumulate(weights, initial=0.0)
    return [
        (start, start + coverage * weight) for start, weight in zip(starts, weights, strict=False)
    ]


def chosen_range(bucket: float, ranges: Iterable[Range]) -> int:
    """Index of the first range that holds a number, its end not included; else `NO_RANGE`."""
    for index, (start, end) in enumerate(ranges):
        if start <= bucket < end:
            return index
    return NO_RANGE


def in_namespace(value: str, name: str, start: float, end: float) -> bool:
    """Whether a subject falls into a part of a namespace: one that others may share out."""
    bucket = bucket_of(f"__{name}", value, BIASED)
    return bucket is not None and start <= bucket < end


def check_ranges(ranges: Iterable[Range]) -> None:
    """Raise `InvalidInputError` for a range that is none or reaches beyond 0 to 1."""
    for start, end in ranges:
        if not 0 <= start <= end <= 1:
            raise InvalidInputError(f"range [{start}, {end}]; accepted: 0 <= start <= end <= 1")
