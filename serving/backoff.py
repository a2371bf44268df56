"""How long to wait before something that ended is started again."""

from __future__ import annotations

YOUNG_SECONDS = 2.0
FIRST_SECONDS = 0.5
MOST_SECONDS = 30.0


class Backoff:
    """Waits twice as long after each life that was short; a long one is forgiven all before."""

    def __init__(self) -> None:
        self._short_lives = 0

    def delay(self, lived_seconds: float) -> float:
        """Seconds to wait after a life of so many."""
        if lived_seconds >= YOUNG_SECONDS:
            self._short_lives = 0
            return 0.0
        self._short_lives += 1
        return min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._short_lives - 1, 16))
