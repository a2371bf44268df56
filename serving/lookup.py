"""A shopper is looked up before an answer's turn where the online store is another process.

The local store is read in the turn itself, in microseconds, and none of this exists. A remote one
is asked on the event loop, once per question and never for long; while its breaker is open nobody
asks at all, and the answer is made from what the question says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from feature_store.online.breaker import Breaker
from feature_store.online.visitors import Pair
from recommender.errors import StorageError

logger = logging.getLogger(__name__)
FAILED = "online_store_failed"
ANSWERED, LATE_OR_BROKEN, NOT_ASKED = OUTCOMES = ("answered", "failed", "not_asked")


class Reader(Protocol):
    """Reads shoppers from another process."""

    async def read(self, visitor_id: str, user_id: str | None) -> Pair:
        """Values of a visitor and a user, in one round trip. Raises `StorageError`."""
        ...

    async def probe(self) -> None:
        """See whether it answers. Raises `StorageError`."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Count(Protocol):
    """Counts reads by outcome."""

    def __call__(self, outcome: str) -> None:
        """One more."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a look brought.

    Parameters
    ----------
    raw
        See `feature_store.online.visitors.Visitors.known`.
    failure
        Why it brought nothing; None where it did.
    """

    raw: Pair = (None, None)
    failure: str | None = None


_NOTHING = Found(failure=FAILED)


@dataclass(slots=True)
class Lookup:
    """Looks shoppers up in one store, for one event loop."""

    reader: Reader
    breaker: Breaker
    count: Count
    rng: np.random.Generator
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _probing: asyncio.Task[None] | None = None

    async def find(self, visitor_id: str | None, user_id: str | None) -> Found | None:
        """Who asks; None where nobody is named. Never raises."""
        if visitor_id is None and user_id is None:
            return None
        if self.breaker.is_open:
            self.count(NOT_ASKED)
            return _NOTHING
        try:
            raw = await self.reader.read(visitor_id or "", user_id)
        except StorageError as error:
            self.breaker.failed(f"{error}")
            self._wake.set()  # one more question failed, not yet enough: see at once
            self.count(LATE_OR_BROKEN)
            return _NOTHING
        self.breaker.succeeded()
        self.count(ANSWERED)
        return Found(raw)

    async def start(self) -> None:
        """Connect, and look after the connection from now on."""
        await self._probe()
        self._probing = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        self.reader.close()

    async def _watch(self) -> None:
        while True:
            pause = self.breaker.pause(self.rng)
            self._wake.clear()
            if self.breaker.is_open:
                await asyncio.sleep(pause)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
            await self._probe()
            while self.breaker.is_doubtful:  # one failure may be chance; know it now
                await asyncio.sleep(0)
                await self._probe()

    async def _probe(self) -> None:
        try:
            await self.reader.probe()
        except StorageError as error:
            self.breaker.failed(f"{error}")
        except Exception:  # the only one who can bring the store back must not end
            logger.exception("the online store could not be probed")
            self.breaker.failed("a defect")
        else:
            self.breaker.succeeded()
