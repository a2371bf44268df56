"""Counts that are told to a metric when somebody looks: it takes a lock each time."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter


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

    def add(self) -> None:
        """One more."""
        self.count += 1
        if self.is_shared:
            self.tell()

    def tell(self) -> None:
        """Tell the counter."""
        if self.count:
            self.counter.inc(self.count)
            self.count = 0
