"""Microseconds of calls that take turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Microseconds:
    """Processor time of one call of one thread: the median, and where 8 of 10 calls lie."""

    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Microseconds:
        """From what single calls took."""
        p10, median, p90 = (1e6 * np.quantile(seconds, [0.1, 0.5, 0.9])).tolist()
        return cls(round(median, 1), round(p10, 1), round(p90, 1))


def in_turns(calls: Mapping[str, Callable[[int], object]], repeats: int) -> dict[str, Microseconds]:
    """Each call once per turn, told which turn it is; every second turn goes backwards.

    So that whatever slows the machine down for a while slows all of them down, and none always
    finds the caches as the same other one left them. The first turn warms up and is not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    gc.disable()
    try:
        for turn in range(repeats + 1):
            for name in list(calls)[:: 1 if turn % 2 else -1]:
                began = time.thread_time()
                calls[name](turn)
                taken[name].append(time.thread_time() - began)
    finally:
        gc.enable()
    return {name: Microseconds.of(seconds[1:]) for name, seconds in taken.items()}
