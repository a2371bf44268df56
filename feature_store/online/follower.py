"""A store in another process keeps step with the log, whatever happens to it.

Events are applied as they are accepted, so that they count in the very next answer. When that
fails, they are not held anywhere: the log has them. A thread then brings the store up to the log,
from the place that the store itself remembers (`feature_store.online.stream_state`), and hands
over to live application when nothing is missing. A store that was away goes on where it was; one
that forgot everything is at the beginning of every stream.

Each process looks after the stream that it writes, and whoever has a moment after those whose
writer lives no more. Processes of one host replay one at a time, a slice each: events of the same
shoppers would only spoil each other's changes.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from feature_store.event_log.claim import try_claim
from feature_store.event_log.segment import list_segments
from feature_store.event_log.stream import Place, end_of, place_of, portions, writers
from feature_store.event_log.writer import Span
from feature_store.events import InteractionEvent
from feature_store.file_lock import FileLock, exclusive
from feature_store.online.log_id import START_LOCK, log_id
from feature_store.online.stream_replay import FollowerCounts, FollowerOptions, StreamReplay
from feature_store.online.stream_state import (
    LastingStore,
    PlaceMovedError,
    StreamState,
    decode_place,
    place_key,
)
from feature_store.online.visitor_draft import ErasedAt, never_erased
from feature_store.online.visitors import VisitorOptions
from recommender.errors import StorageError

_LOGGER = logging.getLogger(__name__)
_LOCK_FILE = "follow.lock"
TURN_SECONDS = 0.02  # between two slices, so that another process has its turn
FEW_EVENTS = 50


class LogFollower:
    """Keeps one store in step with one log, for one process.

    It is given to an `Intake` in the place of a sink, and then started.

    Parameters
    ----------
    log
        ``StoreLayout.log``.
    is_trusted
        Whether the store answers well now. While it does not, nobody who waits for an
        acknowledgement waits for it too.
    """

    def __init__(
        self,
        store: LastingStore,
        log: Path,
        erased_at: ErasedAt = never_erased,
        options: FollowerOptions | None = None,
        is_trusted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.counts = FollowerCounts()
        self._stop = threading.Event()
        self._store, self._log, self._erased_at = store, log, erased_at
        self._options = options or FollowerOptions()
        self._is_trusted = is_trusted
        self._replay = StreamReplay(log, self._options, self.counts, self._stop)
        self._log_id = ""
        self._own: StreamState | None = None
        self._writer = ""
        self._logged = Place()
        self._orphans: dict[str, tuple[Place, Place]] = {}
        self._lock = threading.Lock()
        self._failed_in_a_row = 0
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)

    # ---- told by the intake, in its thread -------------------------------------------------------

    def begin(self, writer: str) -> None:
        """The log is open, and this process writes as `writer`. Raises `StorageError`."""
        with self._lock:
            self._log_id = log_id(self._log)
            self._writer, self._own = writer, self._stream(writer)
            self._logged = end_of(self._log, writer)
            self.counts.behind = 1  # until it was looked at

    def logged(self, events: Sequence[InteractionEvent], span: Span) -> None:
        """These events of the own stream are durable up to the end of `span`; never raises."""
        with self._lock:
            self._logged = place_of(span.segment, span.end)
            if self._own is None or self.counts.behind:
                return
            if not self._is_trusted():
                self.counts.behind = 1
                return
            try:
                self._own.apply(events, self._logged)
                self.counts.live += len(events)
            except PlaceMovedError as moved:
                if moved.place != self._logged:  # else somebody has done it already
                    self._lose_step(f"{moved}")
            except Exception as error:  # noqa: BLE001 - they are durable; the thread will see to it
                self._lose_step(repr(error))

    # ---- the thread ------------------------------------------------------------------------------

    def start(self) -> None:
        """Keep in step from now on."""
        self._thread.start()

    def close(self) -> None:
        """Leave the rest to the next process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Look once, and apply what is missing. Raises `StorageError`."""
        own = self._own
        if own is None:
            return
        if not self.counts.behind:
            self._check(own)
        if self.counts.behind:
            self._catch_up(own)
        self._look_after_orphans()

    def settle(self) -> bool:
        """Look until nothing is missing; False while others still have to. Raises `StorageError`.

        Without a stream of one's own, for jobs beside the service.
        """
        self._log_id = log_id(self._log)
        for writer in writers(list_segments(self._log)):
            if not self._is_orphan(writer):
                state = self._stream(writer)
                state.load()
                if self._misses(writer, state.stored, 1):
                    return False
        while not self._look_after_orphans():
            self._stop.wait(self._options.look_seconds)  # another process is at one of them
        return True

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
                if self._failed_in_a_row:
                    _LOGGER.info("the online store answers again")
                self._failed_in_a_row = 0
            except StorageError as error:
                self._failed(error)
            except Exception:
                _LOGGER.exception("the online store could not be kept in step")
                self._failed_in_a_row += 1
            self._stop.wait(self._pause())

    def _pause(self) -> float:
        most = self._options.look_seconds * (1 << min(self._failed_in_a_row, 10))
        # So that processes which lost the same store do not all come back at one moment.
        share: float = random.uniform(0.5, 1)  # noqa: S311
        return min(most, self._options.most_seconds) * share

    def _failed(self, error: StorageError) -> None:
        self.counts.failures += 1
        if not self._failed_in_a_row:  # once per spell
            _LOGGER.warning("the online store cannot be kept in step: %s", error)
        self._failed_in_a_row += 1

    def _lose_step(self, why: str) -> None:
        self.counts.behind = 1
        self.counts.failures += 1
        _LOGGER.warning("events wait in the log for the online store: %s", why)

    def _check(self, own: StreamState) -> None:
        """Whether the store is still where it was left."""
        with self._lock:
            expected = own.stored
        found = self._stream(self._writer)
        found.load()
        with self._lock:
            if own.stored == expected != found.stored and not self.counts.behind:
                self.counts.lost += 1
                self._lose_step(f"it is at {found.stored}, and was left at {expected}")

    def _catch_up(self, own: StreamState) -> None:
        own.load()
        done, is_awaited = own.stored, False
        give_up = time.monotonic() + self._options.together_seconds
        while not self._stop.is_set():
            with self._lock:
                until = self._logged
                if done >= until and not is_awaited:
                    if not self._is_trusted():
                        return  # in step, and not left to those who wait
                    self.counts.behind = 0
                    _LOGGER.info("the online store is in step with the log")
                    return
            done = self._replay_slice(own, done, until)
            is_done = done >= until
            is_awaited = is_done and time.monotonic() < give_up and self._are_others_far_behind()
            if not is_done or is_awaited:
                self._stop.wait(TURN_SECONDS)

    def _are_others_far_behind(self) -> bool:
        """Whether the stream of another living process misses more than a few events.

        What is applied as it happens spoils the changes of whoever still replays: processes that
        lost the same store catch up in turns, and go on together.
        """
        # Orphans first: there may be many, and to read what is behind their places takes longer.
        return any(
            not self._is_orphan(name) and self._misses(name, decode_place(raw), FEW_EVENTS)
            for name, raw in self._places_of_others()
        )

    def _places_of_others(self) -> Iterator[tuple[str, bytes | None]]:
        """The other streams of the log, each with its place as the store has it."""
        names = [name for name in writers(list_segments(self._log)) if name != self._writer]
        keys = [place_key(self._log_id, name) for name in names]
        return zip(names, self._store.get_many(keys), strict=True)

    def _look_after_orphans(self) -> bool:
        """Whether the streams without a living writer miss nothing."""
        missing = 0
        for writer, raw in self._places_of_others():
            state = self._stream(writer)
            state.load_from(raw)
            end = end_of(self._log, writer)
            if self._orphans.get(writer) == (state.stored, end) or not self._is_orphan(writer):
                continue
            if self._replay_slice(state, state.stored, end) >= end:
                self._orphans[writer] = (state.stored, end)
            else:
                missing += 1
        self.counts.orphans = missing
        return not missing

    def _replay_slice(self, state: StreamState, after: Place, end: Place) -> Place:
        """Replay a stream for a while; how far it came.

        Nothing is done while another process of this host replays.
        """
        lock = FileLock(self._log / _LOCK_FILE)
        try:
            if not lock.try_take():
                return after
            until = time.monotonic() + self._options.slice_seconds
            return self._replay.run(state, after, end, until)
        finally:
            lock.close()

    def _misses(self, writer: str, stored: Place, events: int) -> bool:
        """Whether a stream has so many events behind a place."""
        first = next(portions(self._log, writer, stored, end_of(self._log, writer), events))
        return len(first.events) >= events

    def _is_orphan(self, writer: str) -> bool:
        """Whether nobody writes this stream now."""
        # Whoever starts takes a name under this lock, and must not find one held by a mere look.
        with exclusive(self._log / START_LOCK):
            claim = try_claim(self._log, writer)
            if claim is not None:
                claim.close()
        return claim is not None

    def _stream(self, writer: str) -> StreamState:
        key = place_key(self._log_id, writer)
        return StreamState(self._store, writer, key, VisitorOptions(), self._erased_at)
