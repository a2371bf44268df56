"""An online store that fails, forgets and goes back in time when it is told to."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from feature_store.online.memory import MemoryStore
from feature_store.online.store import Change, Clock
from recommender.errors import StorageError


class FaultyStore(MemoryStore):
    """A `LastingStore` in memory; no test with it lets anything expire.

    Attributes
    ----------
    fails
        ``before``: nothing is done, and that is an error. ``after``: it is done, and an error all
        the same. None: all is well.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.fails: str | None = None
        self.updates = 0

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if self.fails:
            raise StorageError("no answer")
        return super().get_many(keys)

    def update(
        self,
        keys: Sequence[str],
        change: Change,
        ttl_seconds: float,
        lasting: Collection[str] = (),
    ) -> None:
        self.updates += 1
        if self.fails == "before":
            raise StorageError("no answer")
        super().update(keys, change, ttl_seconds)
        if self.fails == "after":
            raise StorageError("no answer")

    def forget(self) -> None:
        """Lose everything."""
        self.go_back_to({})

    def copy(self) -> dict[bytes, tuple[int, bytes]]:
        """What is in it, to go back to later."""
        return dict(self._open_entries())

    def go_back_to(self, copy: dict[bytes, tuple[int, bytes]]) -> None:
        """Be as it was."""
        with self._lock:
            self._entries = dict(copy)
