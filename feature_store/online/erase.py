"""Forgetting a shopper: first it is on disk that they are erased, then their states go.

From the moment that the ledger names them nothing from before counts, whether it is still in the
store or on its way there; so a killed process leaves nothing that an answer could use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from feature_store.erasures import RECORD, USER, VISITOR, Erasures, subject_of
from feature_store.online.features import forget_features
from feature_store.online.store import Clock, OnlineStore
from feature_store.online.visitors import MAX_ATTEMPTS, Visitors
from recommender.errors import StorageError

Pseudonym = Callable[[str, str], str]
"""Kind (``visitor`` or ``user``) and id → name in decision records."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased: everything of these ids up to `at`, microseconds."""

    visitor_ids: tuple[str, ...]
    user_id: str | None
    at: int


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases shoppers from one online store and ledger.

    Parameters
    ----------
    clock
        Microseconds since the epoch, UTC.
    pseudonym
        So that decision records lose the subject too.
    """

    store: OnlineStore
    visitors: Visitors
    erasures: Erasures
    clock: Clock
    pseudonym: Pseudonym

    def erase(self, visitor_id: str) -> Erased:
        """Erase a visitor, the user it is linked to, and all devices of that user.

        Returns when it is durable, and nothing of them is left in the store. Erasing somebody
        unknown, or again, is the same act. Raises `StorageError`.
        """
        user_id, at = self._linked(visitor_id)
        if user_id:
            self.erasures.add(self._subjects(USER, user_id), at)
        # Only now: whoever is identified as this user from here on starts anew.
        devices = self.visitors.devices(user_id) if user_id else []
        visitor_ids = tuple(sorted({visitor_id, *devices}))
        self.erasures.add(
            [subject for name in visitor_ids for subject in self._subjects(VISITOR, name)], at
        )
        self.visitors.forget(visitor_ids, [user_id] if user_id else [])
        forget_features(self.store, [*visitor_ids, *([user_id] if user_id else [])])
        return Erased(visitor_ids, user_id, at)

    def _linked(self, visitor_id: str) -> tuple[str | None, int]:
        """The user that the visitor's erased past went to, and the moment of the erasure."""
        for _ in range(MAX_ATTEMPTS):
            at = self.clock()
            # First the ledger: afterwards no state from before can move into another user's.
            self.erasures.add(self._subjects(VISITOR, visitor_id), at)
            user_id, linked_at = self.visitors.stored_links([visitor_id]).get(visitor_id, (None, 0))
            if linked_at <= at:
                return user_id, at
        raise StorageError(f"the visitor was identified anew {MAX_ATTEMPTS} times in a row")

    def _subjects(self, kind: str, name: str) -> list[str]:
        return [subject_of(kind, name), subject_of(RECORD, self.pseudonym(kind, name))]
