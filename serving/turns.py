"""Whose turn it is: answers are made one after the other, in the order in which they were asked.

An answer is pure computation, of a tenth of a millisecond to some. A thread of its own for it costs
two changes of threads per request and lets the two compete for the interpreter; computing at once,
as many answers as there are questions would follow each other before the event loop looks at
anything else. So answers follow each other for a slice of time; then everything else has its turn
before those who wait have theirs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeVar

from serving.limits import Gate

SLICE_SECONDS = 0.001
Answer = TypeVar("Answer")
Waiting = tuple[asyncio.Future[Any], Callable[[], Any]]


@dataclass(slots=True)
class Turns:
    """The queue of those who wait for an answer. It belongs to one event loop.

    Parameters
    ----------
    gate
        How many may wait.
    slice_seconds
        How long answers follow each other. One that has begun is not stopped: where each takes
        longer, each has a turn of its own.
    """

    gate: Gate
    slice_seconds: float = SLICE_SECONDS
    _waiting: deque[Waiting] = field(default_factory=deque)
    _ends_at: float = 0.0
    _is_begun: bool = False
    _is_over: bool = False

    async def take(self, answering: Callable[[], Answer]) -> Answer:
        """Compute when it is one's turn.

        Raises
        ------
        Problem
            503 while too many wait.
        """
        self.gate.enter()
        try:
            if self._is_over or self._waiting:
                turn: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
                self._waiting.append((turn, answering))
                return await turn
            if not self._is_begun:
                self._begin()
            try:
                return answering()
            finally:
                self._is_over = perf_counter() >= self._ends_at
        finally:
            self.gate.leave()

    def _begin(self) -> None:
        self._is_begun, self._is_over = True, False
        self._ends_at = perf_counter() + self.slice_seconds
        # Not at once: what else is ready comes first.
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """What else there was has had its turn: begin another slice with those who wait."""
        self._is_begun = self._is_over = False
        while self._waiting and not self._is_over:
            turn, answering = self._waiting.popleft()
            if turn.done():  # whoever asked has gone
                continue
            if not self._is_begun:
                self._begin()
            try:
                turn.set_result(answering())
            except Exception as error:  # noqa: BLE001 - it is the asker's own
                turn.set_exception(error)
            self._is_over = perf_counter() >= self._ends_at
