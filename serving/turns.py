"""Whose turn it is: answers are made one after the other, in the order in which they were asked.

An answer is pure computation of about a millisecond. A thread of its own for it costs two changes
of threads per request and lets the two compete for the interpreter; computing at once, as many
answers as there are questions would follow each other before the event loop looks at anything
else. So each answer is a turn of the loop of its own, and between two of them everything else has
its turn, too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from serving.limits import Gate

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Turns:
    """The queue of those who wait for an answer. It belongs to one event loop.

    Parameters
    ----------
    gate
        How many may wait.
    """

    gate: Gate
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    _is_taken: bool = False

    async def take(self, answering: Callable[[], Answer]) -> Answer:
        """Compute when it is one's turn.

        Raises
        ------
        Problem
            503 while too many wait.
        """
        self.gate.enter()
        try:
            if self._is_taken:
                await self._wait()
            self._is_taken = True
            try:
                return answering()
            finally:
                # Not at once: what else is ready comes first.
                asyncio.get_running_loop().call_soon(self._next)
        finally:
            self.gate.leave()

    async def _wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()  # it was given a turn that it cannot use
            raise

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False
