"""What was made of an object that comes again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

MOST_KEPT = 64
Source = TypeVar("Source")
Made = TypeVar("Made")


def encoded(value: object) -> msgspec.Raw:
    """A value as JSON, to be put into what is encoded later."""
    return msgspec.Raw(msgspec.json.encode(value))


class Kept(Generic[Made]):
    """What was made of immutable objects, found by their identity: nothing is compared or hashed.

    Of some `MOST_KEPT` objects; when there are more, all are forgotten.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[object, Made]] = {}

    def of(self, source: Source, make: Callable[[Source], Made]) -> Made:
        """What was made of this very object, or is made of it now."""
        found = self._made.get(id(source))
        if found is not None:  # it holds its source, whose identity is therefore nobody else's
            return found[1]
        made = make(source)
        if len(self._made) >= MOST_KEPT:
            self._made.clear()
        self._made[id(source)] = source, made
        return made
