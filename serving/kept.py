"""What was made of an object that comes again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from recommender.kept import Kept

MOST_KEPT = 64
Source = TypeVar("Source")
Made = TypeVar("Made")


def encoded(value: object) -> msgspec.Raw:
    """A value as JSON, to be put into what is encoded later."""
    return msgspec.Raw(msgspec.json.encode(value))


class MadeOnce(Generic[Made]):
    """What was made of immutable objects, found by their identity: nothing is compared or hashed.

    Of some `MOST_KEPT` objects.
    """

    def __init__(self) -> None:
        self._made: Kept[int, tuple[object, Made]] = Kept(MOST_KEPT)

    def of(self, source: Source, make: Callable[[Source], Made]) -> Made:
        """What was made of this very object, or is made of it now."""
        found = self._made.get(id(source))
        if found is None:
            # It holds its source, whose identity is therefore nobody else's.
            found = source, make(source)
            self._made.keep(id(source), found)
        return found[1]
