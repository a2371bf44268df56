"""Shoppers in the online store: who an event belongs to, and one atomic change for it.

A visitor id stands for a device, a user id for a person. A visitor's state lives under
``v:<visitor_id>`` until the visitor is identified, by any event that carries a user id; then it
moves into ``u:<user_id>`` and the visitor keeps only the link. Every device of a user ends in
the same state, and each event is in exactly one state, so nothing is counted twice. Identified as
somebody else later, a visitor's link moves on from then; what was there stays with the first user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TypeAlias

import msgspec

from feature_store.events import InteractionEvent
from feature_store.online.reconcile import Rebuilt
from feature_store.online.state import DEFAULT_LIMITS, StateLimits, VisitorState, joined
from feature_store.online.state_codec import UnreadableStateError, decode_link, decode_state
from feature_store.online.store import OnlineStore, Values
from feature_store.online.visitor_draft import (
    UNKNOWN,
    USER,
    VISITOR,
    Draft,
    ErasedAt,
    LinkMovedError,
    never_erased,
    unless_erased,
)
from recommender.errors import StorageError

MAX_ATTEMPTS = 20
APPLY_CHUNK = 1_000
PUT_CHUNK = 200


@dataclass(frozen=True, slots=True)
class VisitorOptions:
    """How long and how much is remembered.

    Parameters
    ----------
    ttl_seconds
        A state is forgotten so long after its last write.
    """

    ttl_seconds: float = 90 * 86_400
    limits: StateLimits = DEFAULT_LIMITS


Pair: TypeAlias = tuple[bytes | None, bytes | None]


def keys_of(visitor_id: str, user_id: str | None) -> list[str]:
    """Keys of a visitor and, where one is named, of a user."""
    return [VISITOR + visitor_id] + ([USER + user_id] if user_id else [])


def linked_key(key: str, raw: bytes) -> str | None:
    """Key of the user that the value of a visitor leads to; None for every other value."""
    link = decode_link(raw) if key.startswith(VISITOR) else None
    return USER + link[0] if link else None


class Visitors:
    """States of all shoppers in one store. Safe to share between threads.

    Parameters
    ----------
    store
        Where the states live; other things may live there under other prefixes.
    erased_at
        `Erasures.erased_at`, where shoppers may ask to be forgotten.
    """

    def __init__(
        self,
        store: OnlineStore,
        options: VisitorOptions | None = None,
        erased_at: ErasedAt = never_erased,
    ) -> None:
        self._store = store
        self._options = options or VisitorOptions()
        self._erased_at = erased_at
        self.counts: Counter[str] = Counter()

    @property
    def options(self) -> VisitorOptions:
        """How long and how much is remembered."""
        return self._options

    def get(self, visitor_id: str, user_id: str | None, at: datetime) -> VisitorState:
        """What is known about the shopper who asks; an empty state when nothing is.

        A known `user_id` decides. A visitor not identified yet adds what the device did, a
        visitor identified as somebody else adds nothing. Without `user_id` the link leads. The
        answer's `user_id` says whose state it is.
        """
        keys = keys_of(visitor_id, user_id)
        raw = self._store.get_many(keys)
        if raw[0] is None and not user_id:
            return UNKNOWN
        visitor = self._decoded(keys[0], raw[0])
        if not user_id and visitor.user_id:
            keys.append(USER + visitor.user_id)
            raw += self._store.get_many(keys[1:])
        user = self._decoded(keys[1], raw[1]) if len(keys) > 1 else UNKNOWN
        return self._known(visitor, user, user_id, at)

    def known(self, visitor_id: str, user_id: str | None, raw: Pair, at: datetime) -> VisitorState:
        """As `get`, of bytes that were read elsewhere.

        Parameters
        ----------
        raw
            Value of the visitor, and of `user_id`; without one, of the user that the visitor is
            linked to. See `keys_of` and `linked_key`.
        """
        visitor = self._decoded(VISITOR + visitor_id, raw[0])
        named = user_id or visitor.user_id
        user = self._decoded(USER + named, raw[1]) if named else UNKNOWN
        return self._known(visitor, user, user_id, at)

    def _known(
        self, visitor: VisitorState, user: VisitorState, user_id: str | None, at: datetime
    ) -> VisitorState:
        if visitor.user_id:
            known = user
        else:
            known = joined(user, visitor, self._options.limits) if user_id else visitor
        if known is UNKNOWN and not user_id:
            return UNKNOWN
        named = user_id or visitor.user_id
        if known.user_id != named:
            known = msgspec.structs.replace(known, user_id=named)
        return known.at(at, self._options.limits)

    def apply(self, events: Sequence[InteractionEvent]) -> None:
        """Make the states know of `events`; each chunk of them is one atomic change.

        Returns when committed. An event given twice counts twice: remove duplicates before.
        """
        for start in range(0, len(events), APPLY_CHUNK):
            self.apply_once(events[start : start + APPLY_CHUNK])

    def apply_once(self, events: Sequence[InteractionEvent]) -> None:
        """As `apply`, all of them in one atomic change."""
        by_visitor = _by_visitor(events)

        def edit(draft: Draft) -> None:
            for visitor_id, group in by_visitor.items():
                draft.apply(visitor_id, group)

        users = {event.user_id for group in by_visitor.values() for event in group}
        self._change(by_visitor, users, edit)

    def put(self, shoppers: Iterable[Rebuilt], until: int) -> None:
        """Bring in states rebuilt from the tables as of `until`, microseconds.

        Newer online knowledge is kept, see `feature_store.online.reconcile`.
        """
        for chunk in _chunks(shoppers, PUT_CHUNK):
            self._change(
                [visitor_id for shopper in chunk for visitor_id in shopper.visitors],
                {shopper.user_id for shopper in chunk},
                lambda draft, chunk=chunk: [draft.put(shopper, until) for shopper in chunk],  # type: ignore[misc]
            )

    def links(self, visitor_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        """``(user_id, linked_at)`` of those visitors that were identified."""
        return {
            visitor_id: (user_id, linked_at)
            for visitor_id, (user_id, linked_at) in self.stored_links(visitor_ids).items()
            if linked_at > self._erased_at(visitor_id, user_id)
        }

    def stored_links(self, visitor_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        """As `links`, those from before an erasure too."""
        raw = self._store.get_many([VISITOR + visitor_id for visitor_id in visitor_ids])
        links = (
            (name, decode_link(one) if one else None)
            for name, one in zip(visitor_ids, raw, strict=True)
        )
        return {name: link for name, link in links if link}

    def scan(self) -> Iterator[tuple[str, VisitorState]]:
        """Every ``(key, state)``, users first; keys as in the module's description."""
        for prefix in (USER, VISITOR):
            for key, raw in self._store.scan(prefix):
                yield key, self._decoded(key, raw)

    def devices(self, user_id: str) -> list[str]:
        """Visitors linked to a user. Looks at every visitor: for what is asked rarely."""
        found = ((key, decode_link(raw)) for key, raw in self._store.scan(VISITOR))
        return [key[len(VISITOR) :] for key, link in found if link and link[0] == user_id]

    def forget(self, visitor_ids: Iterable[str], user_ids: Iterable[str]) -> None:
        """Take what was erased out of the store; what these shoppers did since is kept."""
        keys = [VISITOR + name for name in visitor_ids] + [USER + name for name in user_ids]
        for start in range(0, len(keys), PUT_CHUNK):
            chunk = keys[start : start + PUT_CHUNK]
            self._store.update(chunk, self._without_erased, self._options.ttl_seconds)

    def sweep_erased(self) -> int:
        """Take out whatever is left of erased shoppers; returns how many states."""
        gone = [
            key
            for prefix in (USER, VISITOR)
            for key, raw in self._store.scan(prefix)
            if self._is_erased(key, raw)
        ]
        self.forget(
            [key[len(VISITOR) :] for key in gone if key.startswith(VISITOR)],
            [key[len(USER) :] for key in gone if key.startswith(USER)],
        )
        return len(gone)

    def _is_erased(self, key: str, raw: bytes) -> bool:
        try:
            state = decode_state(raw)
        except UnreadableStateError:
            return False
        return unless_erased(key, state, self._erased_at) is not state

    def _without_erased(self, before: Values) -> Values:
        return {
            key: None
            for key, raw in before.items()
            if raw is not None and self._decoded(key, raw) == UNKNOWN
        }

    def _decoded(self, key: str, raw: bytes | None) -> VisitorState:
        if raw is None:
            return UNKNOWN
        try:
            return unless_erased(key, decode_state(raw), self._erased_at)
        except UnreadableStateError as error:
            self.counts[error.reason] += 1
            return UNKNOWN

    def _change(
        self,
        visitor_ids: Iterable[str],
        user_ids: Iterable[str | None],
        edit: Callable[[Draft], object],
    ) -> None:
        """Run `edit` on the states of these shoppers, and of whom the visitors are linked to."""
        visitor_ids = list(visitor_ids)
        named = {USER + user_id for user_id in user_ids if user_id}
        for _ in range(MAX_ATTEMPTS):
            linked = {USER + user_id for user_id, _ in self.links(visitor_ids).values()}
            keys = [*(VISITOR + visitor_id for visitor_id in visitor_ids), *(named | linked)]
            drafts: list[Draft] = []

            def change(before: Values, drafts: list[Draft] = drafts) -> Values:
                draft = Draft(before, self._options.limits, self._erased_at)
                edit(draft)
                drafts.append(draft)
                return draft.encoded()

            try:
                self._store.update(keys, change, self._options.ttl_seconds)
            except LinkMovedError:
                continue
            self.counts.update(drafts[-1].counts)
            return
        raise StorageError(f"visitors were identified anew {MAX_ATTEMPTS} times in a row")


def _by_visitor(events: Sequence[InteractionEvent]) -> dict[str, list[InteractionEvent]]:
    """Events of each visitor, in time order; of one moment by id, as in the tables."""
    order = sorted(events, key=lambda event: (event.visitor_id, event.ts, event.event_id))
    return {name: list(group) for name, group in groupby(order, lambda event: event.visitor_id)}


def _chunks(shoppers: Iterable[Rebuilt], size: int) -> Iterator[list[Rebuilt]]:
    """Shoppers in lists that name about `size` keys each."""
    chunk: list[Rebuilt] = []
    keys = 0
    for shopper in shoppers:
        chunk.append(shopper)
        keys += 1 + len(shopper.visitors)
        if keys >= size:
            yield chunk
            chunk, keys = [], 0
    if chunk:
        yield chunk
