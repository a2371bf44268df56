"""What was worked out before, kept ready: a dict of so many entries at most."""

from __future__ import annotations

from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Kept(dict[Key, Value]):
    """Looked up like any dict. Threads may share it: at worst something is worked out twice.

    Parameters
    ----------
    most
        How many entries there may be.
    """

    __slots__ = ("most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def keep(self, key: Key, value: Value) -> None:
        """Add an entry; where there are too many, the oldest one goes."""
        if len(self) >= self.most:
            self.pop(next(iter(self)), None)
        self[key] = value
