"""Does a job again and again, patiently while what it needs is down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from recommender.errors import DesirepathError

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to look again.

    Parameters
    ----------
    interval_seconds
        After a success, or when nothing changed.
    longest_seconds
        Upper bound of the wait after failures, which doubles each time.
    """

    interval_seconds: float = 30.0
    longest_seconds: float = 600.0

    def wait_seconds(self, failures: int) -> float:
        """Seconds until the next look, after so many failures in a row."""
        longest = max(self.longest_seconds, self.interval_seconds)
        return min(self.interval_seconds * 2.0 ** min(failures, 30), longest)


def watch(
    once: Callable[[], Outcome], schedule: Schedule, wait: Callable[[float], bool]
) -> Iterator[Outcome | DesirepathError | OSError]:
    """Do something again and again; a failure is reported and the next try comes later.

    Parameters
    ----------
    wait
        Waits so many seconds; True ends the watch.
    """
    failures = 0
    while True:
        try:
            yield once()
            failures = 0
        except (DesirepathError, OSError) as error:
            failures += 1
            yield error
        if wait(schedule.wait_seconds(failures)):
            return
