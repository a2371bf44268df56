"""A coroutine that has been started by hand, to see whether it has to wait at all."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Begun(Generic[Result]):
    """Does the first step of a coroutine at once; the rest, if there is any, when it is awaited.

    Attributes
    ----------
    result
        What it came to in its first step; None where it waits.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Result]) -> None:
        self.result: Result | None = None
        self._coroutine = coroutine
        self._waits_for: Any = None
        self._is_done = False
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as done:
            self.result, self._is_done = done.value, True

    def __await__(self) -> Generator[Any, Any, Result]:
        if self._is_done:
            return self.result  # type: ignore[return-value]
        waits_for = self._waits_for
        try:
            while True:
                try:
                    given = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(given)
        except StopIteration as done:
            result: Result = done.value
            return result
