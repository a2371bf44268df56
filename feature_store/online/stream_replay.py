"""Events of one stream, from the log into a store, at a pace that lets others work."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from feature_store.event_log.stream import Place, Portion, portions
from feature_store.online.stream_state import PlaceMovedError, StreamState
from recommender.errors import StorageError

SWITCH_SECONDS = 0.0005
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FollowerOptions:
    """How a store is kept in step.

    Parameters
    ----------
    look_seconds
        How often the thread looks, more or less; also the first wait after a failure.
    most_seconds
        The longest wait after failures.
    portion, most_of_portion
        Events replayed in the first step, and in one step at most.
    portion_seconds
        How long a step should take, twice that where its events are of few shoppers. Larger ones
        cost less for each event, and are spoilt sooner by others who change the same shoppers.
    rest
        A replay rests so many times as long as it works, for whoever answers meanwhile.
    slice_seconds
        A stream is replayed for so long before another has its turn.
    together_seconds
        Who has caught up waits for other processes so long at most, before events are applied as
        they happen.
    """

    look_seconds: float = 0.25
    most_seconds: float = 1.0
    portion: int = 250
    most_of_portion: int = 20_000
    portion_seconds: float = 0.4
    rest: float = 1.0
    slice_seconds: float = 1.0
    together_seconds: float = 30.0


@dataclass(slots=True)
class FollowerCounts:
    """Plain numbers that `/metrics` exposes.

    Parameters
    ----------
    behind
        1 while the log has events of this process that the store does not know.
    live, replayed
        Events applied when they were accepted; events applied from the log later.
    orphans
        Streams without a living writer whose events the store does not all know.
    unusable
        Events that the store could not be taught, passed over.
    failures
        Attempts that ended in an error of the store.
    lost
        How often the store was found at another place than it was left: emptied, or an older copy.
    """

    behind: int = 0
    live: int = 0
    replayed: int = 0
    orphans: int = 0
    unusable: int = 0
    failures: int = 0
    lost: int = 0


@contextmanager
def _yielding() -> Iterator[None]:
    """Let the thread that answers have the interpreter back sooner than after the usual 5 ms.

    It gives the interpreter away several times for each answer, and waits for it each time.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


@dataclass(frozen=True, slots=True)
class StreamReplay:
    """Replays streams of one log, counting.

    Parameters
    ----------
    log
        ``StoreLayout.log``.
    stop
        Set when it is to end between two portions.
    clock
        Monotonic seconds.
    """

    log: Path
    options: FollowerOptions
    counts: FollowerCounts
    stop: threading.Event
    clock: Callable[[], float] = time.monotonic
    _sizes: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def run(self, state: StreamState, after: Place, until: Place, stop_at: float) -> Place:
        """Apply the events between two places.

        Parameters
        ----------
        stop_at
            Monotonic seconds at which it is enough.

        Returns
        -------
        Place
            How far it came; where the store is, if that was elsewhere.

        Raises
        ------
        StorageError
            The store failed; what was applied before stands.
        """
        with _yielding():
            return self._run(state, after, until, stop_at)

    def _run(self, state: StreamState, after: Place, until: Place, stop_at: float) -> Place:
        done = after
        while done < until:
            size = self._sizes.get(state.writer, self.options.portion)
            portion = next(portions(self.log, state.writer, done, until, size))
            began = self.clock()
            try:
                self._apply(state, portion)
            except PlaceMovedError as moved:
                return moved.place
            done = portion.end
            ended = self.clock()
            self._sizes[state.writer] = self._next_size(size, ended - began, portion)
            # By the clock, not by processor time: where others want the processor it is slower.
            if ended > stop_at or self.stop.wait((ended - began) * self.options.rest):
                break
        return done

    def _next_size(self, size: int, seconds: float, portion: Portion) -> int:
        """Events of the next step, after one of so many took so long.

        Most of the time goes into reading and writing shoppers. Where there are several events for
        each of them, twice as many events take little longer, and half as many hardly less.
        """
        shoppers = len({event.visitor_id for event in portion.events})
        most = self.options.portion_seconds * (2 if 2 * shoppers < len(portion.events) else 1)
        if seconds > most:
            return max(1, size // 2)
        if seconds < most / 2:
            return min(2 * size, self.options.most_of_portion)
        return size

    def _apply(self, state: StreamState, portion: Portion) -> None:
        if not portion.events:
            return  # nothing but records of other kinds: the place can wait for the next event
        try:
            state.apply(portion.events, portion.end)
            self.counts.replayed += len(portion.events)
        except (StorageError, PlaceMovedError):
            raise
        except Exception:
            _LOGGER.exception("events of the log cannot be applied; those that can will be")
            self._apply_singly(state, portion.end)

    def _apply_singly(self, state: StreamState, until: Place) -> None:
        """Apply what can be applied, one event at a time, and pass over the rest."""
        for single in portions(self.log, state.writer, state.stored, until, 1):
            try:
                state.apply(single.events, single.end)
                self.counts.replayed += len(single.events)
            except (StorageError, PlaceMovedError):
                raise
            except Exception:  # noqa: BLE001 - logged with its portion
                self.counts.unusable += len(single.events)
                state.apply([], single.end)
