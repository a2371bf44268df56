"""How far a store knows one stream of the log: kept beside the states, changed in one step.

The place up to which events were applied is a key of the same transaction as the states that they
changed. So each event is applied once, whoever applies it and however often: after a timeout that
left open whether a change was made, after a store went back to an older copy of itself, and after
it lost everything, the place says what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from feature_store.event_log.stream import Place
from feature_store.events import InteractionEvent
from feature_store.online.store import Change, OnlineStore, Values
from feature_store.online.visitor_draft import ErasedAt
from feature_store.online.visitors import VisitorOptions, Visitors
from recommender.errors import StorageError

PLACES = "p:"
_DECODE = msgspec.msgpack.Decoder(tuple[int, int]).decode


class LastingStore(OnlineStore, Protocol):
    """An online store in which some keys may last for ever."""

    def update(
        self,
        keys: Sequence[str],
        change: Change,
        ttl_seconds: float,
        lasting: Collection[str] = (),
    ) -> None:
        """As `OnlineStore.update`; those of the keys that are `lasting` never expire."""
        ...


class PlaceMovedError(Exception):
    """The store is at another place of the stream than it was thought to be: nothing was done."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"the store is at {place}")
        self.place = place


def place_key(log_id: str, writer: str) -> str:
    """Key of the place of one writer's stream in one log."""
    return f"{PLACES}{log_id}:{writer}"


def decode_place(raw: bytes | None) -> Place:
    """The place as stored; the beginning where none is."""
    try:
        return Place() if raw is None else Place(*_DECODE(raw))
    except msgspec.DecodeError:
        return Place()


class StreamState:
    """One stream, as one process applies it to a store. Not safe to share between threads.

    Attributes
    ----------
    stored
        The place in the store, as this process knows it.
    """

    def __init__(
        self,
        store: LastingStore,
        writer: str,
        key: str,
        options: VisitorOptions,
        erased_at: ErasedAt,
    ) -> None:
        self.writer, self.key = writer, key
        self.stored = Place()
        self._store = store
        self._step = _Step(store, key)
        self._visitors = Visitors(self._step, options, erased_at)

    def load(self) -> None:
        """Ask the store for the place. Raises `StorageError`."""
        self.load_from(self._store.get_many([self.key])[0])

    def load_from(self, raw: bytes | None) -> None:
        """Take the place that was read together with others."""
        self.stored = decode_place(raw)

    def apply(self, events: Sequence[InteractionEvent], upto: Place) -> None:
        """Apply the events up to a place, all in one step.

        Raises
        ------
        PlaceMovedError
            The store is at another place; `stored` is that one now.
        StorageError
            It may have been done, or not: `load` tells.
        """
        self._step.before, self._step.after = self.stored, upto
        try:
            if events:
                self._visitors.apply_once(events)
            else:
                self._step.update([], lambda _: {}, self._visitors.options.ttl_seconds)
        except PlaceMovedError as moved:
            self.stored = moved.place
            raise
        self.stored = upto


class _Step:
    """A store whose every change also moves the place, or does not happen."""

    def __init__(self, store: LastingStore, key: str) -> None:
        self._store, self._key = store, key
        self.before, self.after = Place(), Place()

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """As the store."""
        return self._store.get_many(keys)

    def update(self, keys: Sequence[str], change: Change, ttl_seconds: float) -> None:
        """As the store; raises `PlaceMovedError` besides."""

        def moved(before: Values) -> Values:
            found = decode_place(before.pop(self._key))
            if found != self.before:
                raise PlaceMovedError(found)
            after = change(before)
            after[self._key] = msgspec.msgpack.encode(tuple(self.after))
            return after

        self._store.update([*keys, self._key], moved, ttl_seconds, [self._key])

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """As the store."""
        return self._store.scan(prefix)

    def close(self) -> None:
        """The store is closed by whoever opened it."""
        raise StorageError("a step of a stream is not closed")
