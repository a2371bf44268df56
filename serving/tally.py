"""Counts that are told to a metric when somebody looks: it takes a lock each time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import Counter, Histogram


@dataclass(slots=True)
class Tally:
    """What was counted since a counter was told. It belongs to one thread.

    Parameters
    ----------
    is_shared
        Another process may look: the counter is told at once.
    """

    counter: Counter
    is_shared: bool
    count: int = 0

    def add(self, count: int = 1) -> None:
        """So many more."""
        self.count += count
        if self.is_shared:
            self.tell()

    def tell(self) -> None:
        """Tell the counter."""
        if self.count:
            self.counter.inc(self.count)
            self.count = 0


@dataclass(slots=True)
class Timing:
    """What was timed since a histogram was told. It belongs to one thread.

    Parameters
    ----------
    histogram
        One without labels, or with their values.
    bounds
        Upper bounds of its buckets, rising.
    is_shared
        As that of `Tally`.
    """

    histogram: Histogram
    bounds: Sequence[float]
    is_shared: bool
    _seconds: float = 0.0
    _counts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._counts = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float) -> None:
        """One more."""
        if self.is_shared:
            self.histogram.observe(seconds)
        else:
            self._counts[bisect_left(self.bounds, seconds)] += 1
            self._seconds += seconds

    def tell(self) -> None:
        """Tell the histogram: it takes one value at a time, its parts take sums."""
        told = self.histogram
        for bucket, count in zip(told._buckets, self._counts, strict=True):
            if count:
                bucket.inc(count)
        told._sum.inc(self._seconds)
        self._counts, self._seconds = [0] * len(self._counts), 0.0


@dataclass(slots=True)
class RequestTallies:
    """Requests by route and status, and how long they took by route."""

    requests: Counter
    latency: Histogram
    bounds: Sequence[float]
    is_shared: bool
    _counts: dict[tuple[str, int], Tally] = field(default_factory=dict)
    _timings: dict[str, Timing] = field(default_factory=dict)

    def add(self, route: str, status: int, seconds: float) -> None:
        """One more."""
        count = self._counts.get((route, status))
        if count is None:  # looking a child up takes longer than counting in it
            count = Tally(self.requests.labels(route, str(status)), self.is_shared)
            self._counts[route, status] = count
        timing = self._timings.get(route)
        if timing is None:
            timing = Timing(self.latency.labels(route), self.bounds, self.is_shared)
            self._timings[route] = timing
        count.add()
        timing.add(seconds)

    def tell(self) -> None:
        """Tell both metrics."""
        for count in self._counts.values():
            count.tell()
        for timing in self._timings.values():
            timing.tell()
