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
from typing import Any, Protocol, TypeVar

from serving.limits import Gate

SLICE_SECONDS = 0.001
Answer = TypeVar("Answer")


class Turn(Protocol):
    """Somebody who waits for an answer. Neither method raises."""

    def answer(self) -> None:
        """Compute it: it is their turn."""
        ...

    def tell(self) -> None:
        """Hand it out. What was to be kept of the answers of a slice is kept."""
        ...


def _keep_nothing() -> None:
    """Nothing is to be kept."""


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
    keep
        Keeps, at the end of a slice, what is to be kept of its answers before they are told.
    """

    gate: Gate
    slice_seconds: float = SLICE_SECONDS
    keep: Callable[[], None] = _keep_nothing
    _waiting: deque[Turn] = field(default_factory=deque)
    _ends_at: float = 0.0
    _is_begun: bool = False
    _is_over: bool = False

    def queue(self, turn: Turn) -> None:
        """Wait for one's turn, which comes when everything else that is ready has been done.

        Raises
        ------
        Problem
            503 while too many wait.
        """
        self.gate.enter()
        self._waiting.append(turn)
        if not self._is_begun:
            self._begin()
            self._call_next()

    async def take(self, answering: Callable[[], Answer]) -> Answer:
        """Compute when it is one's turn, which may be at once.

        Raises
        ------
        Problem
            503 while too many wait.
        """
        if self._is_over or self._waiting:
            turn: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self.queue(_Awaited(turn, answering))
            return await turn
        self.gate.enter()
        if not self._is_begun:
            self._begin()
            self._call_next()
        try:
            return answering()
        finally:
            self._is_over = perf_counter() >= self._ends_at
            self.gate.leave()

    def _begin(self) -> None:
        self._is_begun, self._is_over = True, False
        self._ends_at = perf_counter() + self.slice_seconds

    def _call_next(self) -> None:
        # Not at once: what else is ready comes first.
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """What else there was has had its turn: a slice for those who wait."""
        self._begin()
        answered: list[Turn] = []
        while self._waiting and not self._is_over:
            turn = self._waiting.popleft()
            self.gate.leave()
            turn.answer()
            answered.append(turn)
            self._is_over = perf_counter() >= self._ends_at
        self._is_begun = bool(self._waiting)
        self._is_over = self._is_begun
        if self._is_begun:
            self._call_next()
        if answered:
            self.keep()
        for turn in answered:
            turn.tell()


class _Awaited:
    """One who waits in a coroutine."""

    __slots__ = ("_answering", "_error", "_found", "_turn")

    def __init__(self, turn: asyncio.Future[Any], answering: Callable[[], Any]) -> None:
        self._turn, self._answering = turn, answering
        self._found: Any = None
        self._error: Exception | None = None

    def answer(self) -> None:
        if self._turn.done():  # whoever asked has gone
            return
        try:
            self._found = self._answering()
        except Exception as error:  # noqa: BLE001 - it is the asker's own
            self._error = error

    def tell(self) -> None:
        if self._turn.done():
            return
        if self._error is not None:
            self._turn.set_exception(self._error)
        else:
            self._turn.set_result(self._found)
