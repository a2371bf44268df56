"""One change to the states of several shoppers: who owns what, before anything is written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from feature_store.events import InteractionEvent
from feature_store.online.facts import apply_events
from feature_store.online.reconcile import Rebuilt, reconcile
from feature_store.online.state import StateLimits, VisitorState, joined, link_order
from feature_store.online.state_codec import UnreadableStateError, decode_state, encode_state
from feature_store.online.store import Values

VISITOR, USER = "v:", "u:"
UNKNOWN = VisitorState()


ErasedAt: TypeAlias = Callable[[str | None, str | None], int]
"""Up to when nothing of a visitor or user counts, see `feature_store.erasures.Erasures`."""


def never_erased(visitor_id: str | None, user_id: str | None) -> int:  # noqa: ARG001 - an `ErasedAt`
    """Nobody asked to be forgotten."""
    return 0


def unless_erased(key: str, state: VisitorState, erased_at: ErasedAt) -> VisitorState:
    """The state; an empty one where it, or the link that it is, began before an erasure.

    Nothing from before an erasure is ever added to a state, so what began before it is all old.
    """
    name = key[len(VISITOR) :]
    erased = erased_at(None, name) if key.startswith(USER) else erased_at(name, state.user_id)
    began = state.linked_at if state.user_id else state.first_seen
    return state if began > erased or not erased else UNKNOWN


class LinkMovedError(Exception):
    """A state is needed that was not read: another process identified the visitor meanwhile."""


@dataclass(slots=True)
class Draft:
    """States under change, decoded when first looked at."""

    before: Mapping[str, bytes | None]
    limits: StateLimits
    erased_at: ErasedAt = never_erased
    states: dict[str, VisitorState] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    newer: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    def apply(self, visitor_id: str, events: list[InteractionEvent]) -> None:
        """Add the events of one visitor, in time order, each to whom it belongs."""
        known = [e for e in events if e.ts > self.erased_at(visitor_id, e.user_id)]
        self.counts["erased"] += len(events) - len(known)
        if not (events := known):
            return  # not even the key of somebody who was erased
        users = {event.user_id for event in events if event.user_id}
        if self._is_newer(visitor_id, users):
            self.counts["skipped_newer_schema"] += len(events)
            return
        pending: defaultdict[str, list[InteractionEvent]] = defaultdict(list)
        for event in events:
            if event.user_id:
                self._identify(visitor_id, _link(event.user_id, event.ts, event.event_id), pending)
            pending[self._owner(visitor_id, event)].append(event)
        for key, group in pending.items():
            self._set(key, apply_events(self._get(key), group, self.limits))
        self.touched.add(VISITOR + visitor_id)

    def put(self, shopper: Rebuilt, until: int) -> None:
        """Bring in one rebuilt shopper."""
        users = {shopper.user_id} if shopper.user_id else set()
        if any(self._is_newer(visitor_id, users) for visitor_id in shopper.visitors):
            self.counts["skipped_newer_schema"] += 1
            return
        if shopper.state.first_seen <= self._erased(shopper):
            self.counts["erased_meanwhile"] += 1
            return
        if shopper.user_id is None:
            self._put_anonymous(shopper, until)
            return
        own = UNKNOWN
        for visitor_id, when in shopper.visitors.items():
            if when[0] <= self.erased_at(visitor_id, shopper.user_id):
                continue
            visitor = self._get(VISITOR + visitor_id)
            own = own if visitor.user_id else joined(own, visitor, self.limits)
            link = _link(shopper.user_id, *when)
            if link_order(link) > link_order(visitor):
                self._set(VISITOR + visitor_id, link)
        key = USER + shopper.user_id
        online = joined(self._get(key), own, self.limits)
        self._set(key, reconcile(shopper.state, online, until, self.limits))
        self.counts["put"] += 1

    def _erased(self, shopper: Rebuilt) -> int:
        if shopper.user_id is None:
            return max(self.erased_at(visitor_id, None) for visitor_id in shopper.visitors)
        return self.erased_at(None, shopper.user_id)

    def _put_anonymous(self, shopper: Rebuilt, until: int) -> None:
        (visitor_id,) = shopper.visitors
        online = self._get(VISITOR + visitor_id)
        if online.user_id:
            self.counts["identified_meanwhile"] += 1
            return
        state = reconcile(shopper.state, online, until, self.limits)
        self._set(VISITOR + visitor_id, state)
        self.counts["put"] += 1

    def encoded(self) -> Values:
        """Bytes of every state that changed."""
        return {key: encode_state(self._get(key)) for key in sorted(self.touched)}

    def _identify(
        self,
        visitor_id: str,
        link: VisitorState,
        pending: defaultdict[str, list[InteractionEvent]],
    ) -> None:
        key, visitor = VISITOR + visitor_id, self._get(VISITOR + visitor_id)
        if visitor.user_id is None:
            user = f"{USER}{link.user_id}"
            pending[user] += pending.pop(key, [])
            self._set(user, joined(self._get(user), visitor, self.limits))
        if visitor.user_id is None or link_order(link) > link_order(visitor):
            self._set(key, link)

    def _owner(self, visitor_id: str, event: InteractionEvent) -> str:
        user_id = event.user_id or self._get(VISITOR + visitor_id).user_id
        return USER + user_id if user_id else VISITOR + visitor_id

    def _is_newer(self, visitor_id: str, users: Iterable[str]) -> bool:
        linked = self._get(VISITOR + visitor_id).user_id
        keys = [VISITOR + visitor_id, *(USER + user_id for user_id in users)]
        keys += [USER + linked] if linked else []
        for key in keys:
            self._get(key)
        return not self.newer.isdisjoint(keys)

    def _get(self, key: str) -> VisitorState:
        if key not in self.states:
            if key not in self.before:
                raise LinkMovedError
            self.states[key] = self._decoded(key)
        return self.states[key]

    def _decoded(self, key: str) -> VisitorState:
        raw = self.before[key]
        if raw is None:
            return UNKNOWN
        try:
            return unless_erased(key, decode_state(raw), self.erased_at)
        except UnreadableStateError as error:
            self.counts[error.reason] += 1
            if error.reason == "newer_schema":
                self.newer.add(key)
            return UNKNOWN

    def _set(self, key: str, state: VisitorState) -> None:
        self.states[key] = state
        self.touched.add(key)


def _link(user_id: str, linked_at: int, linked_by: str) -> VisitorState:
    return VisitorState(user_id=user_id, linked_at=linked_at, linked_by=linked_by)
