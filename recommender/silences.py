"""Where a visit begins: one definition for all that asks."""

from __future__ import annotations

from collections.abc import Sequence


def chain_start(times: Sequence[int], at: int, gap: int) -> int:
    """Place of the first moment of the chain that reaches `at`; ``len(times)`` where none does.

    The chain has silences of at most `gap` between its moments, and between the last and `at`.

    Parameters
    ----------
    times
        Rising, none after `at`.
    """
    start, later = len(times), at
    while start and later - times[start - 1] <= gap:
        start -= 1
        later = times[start]
    return start
