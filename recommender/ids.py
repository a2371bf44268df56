"""Outside ids as flat arrays.

Loading costs nothing, forked workers share the pages, and lookups allocate nothing large.

An id is any UTF-8 text of 1 to 256 bytes, kept byte-exact (NUL, bidi marks and 4-byte characters
included).

Notation: n ids, B bytes in all, m slots (a power of two, at least 2 n).
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from recommender.errors import BundleError
from recommender.kept import Kept
from recommender.terms import Int32Array, Int64Array, Uint8Array

EMPTY_SLOT = -1
# Ids that a process keeps ready, each way: some 3 MB. What is asked for is mostly what is popular.
MOST_KEPT: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class StringArray:
    """Immutable array of strings.

    Parameters
    ----------
    data
        UTF-8 of all strings joined, uint8 (B,).
    offsets
        String i is ``data[offsets[i]:offsets[i+1]]``, int64 (n + 1,).
    """

    data: Uint8Array
    offsets: Int64Array

    @classmethod
    def from_strings(cls, strings: Iterable[str]) -> StringArray:
        """Pack strings, in the order given."""
        encoded = [string.encode() for string in strings]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(value) for value in encoded], out=offsets[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8).copy(), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return self.encoded(index).decode()

    def encoded(self, index: int) -> bytes:
        """UTF-8 of one string."""
        if not 0 <= index < len(self):
            raise IndexError(f"string index {index} is outside 0..{len(self) - 1}")
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def positions(self, string: str) -> Int64Array:
        """Indices of all strings that equal this one, ascending, int64 (≤ n,)."""
        wanted = np.frombuffer(string.encode("utf-8", "surrogatepass"), np.uint8)
        found = np.flatnonzero(np.diff(self.offsets) == len(wanted))
        own = self.data[self.offsets[found][:, None] + np.arange(len(wanted))]
        equal: Int64Array = found[(own == wanted).all(axis=1)]
        return equal

    def tolist(self) -> list[str]:
        """All strings, decoded."""
        raw, bounds = self.data.tobytes(), self.offsets.tolist()
        return [raw[a:b].decode() for a, b in itertools.pairwise(bounds)]

    def check(self, name: str) -> None:
        """Raise `BundleError` unless the offsets span `data` and every string is UTF-8."""
        bounds = self.offsets
        if bounds.size == 0 or bounds[0] != 0 or bounds[-1] != len(self.data):
            raise BundleError(f"{name}: offsets do not span the data")
        if (np.diff(bounds) < 0).any():
            raise BundleError(f"{name}: offsets are not ascending")
        try:
            self.tolist()
        except UnicodeDecodeError as error:
            raise BundleError(f"{name}: not UTF-8: {error}") from error


@dataclass(frozen=True, slots=True)
class IdMap:
    """Outside id ↔ matrix index, as an open-addressing hash table over a `StringArray`.

    Parameters
    ----------
    ids
        The ids; position is the index.
    slots
        Index stored in each slot or -1, int32 (m,).
    """

    ids: StringArray
    slots: Int32Array
    _indices: Kept[str, int] = field(default_factory=lambda: Kept(MOST_KEPT), compare=False)
    _ids: Kept[int, str] = field(default_factory=lambda: Kept(MOST_KEPT), compare=False)

    @classmethod
    def from_ids(cls, ids: Sequence[str]) -> IdMap:
        """Build the table. Raises `ValueError` on a repeated id."""
        strings = StringArray.from_strings(ids)
        size = 1 << max(1, (2 * len(ids) - 1).bit_length())
        slots = np.full(size, EMPTY_SLOT, np.int32)
        table = slots.tolist()
        mask, seen = size - 1, set()
        for index, item_id in enumerate(ids):
            if item_id in seen:
                raise ValueError(f"id {item_id!r} occurs twice")
            seen.add(item_id)
            slot = _hash(item_id.encode()) & mask
            while table[slot] != EMPTY_SLOT:
                slot = (slot + 1) & mask
            table[slot] = index
        return cls(strings, np.asarray(table, np.int32))

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, outside_id: str, missing: int | None = None) -> int | None:
        """Index of an id, or `missing` when it is unknown."""
        if (kept := self._indices.get(outside_id)) is not None:
            return kept
        if (found := self._found(outside_id)) is None:
            return missing  # not kept: strangers could fill the memory with what they make up
        self._indices.keep(outside_id, found)
        return found

    def _found(self, outside_id: str) -> int | None:
        encoded = outside_id.encode("utf-8", "surrogatepass")
        mask, slots, ids = len(self.slots) - 1, self.slots, self.ids
        slot = _hash(encoded) & mask
        while (candidate := int(slots[slot])) != EMPTY_SLOT:
            if ids.encoded(candidate) == encoded:
                return candidate
            slot = (slot + 1) & mask
        return None

    def indices(self, outside_ids: Iterable[str]) -> list[int]:
        """Indices of the ids that are known, in the order given; unknown ids are left out."""
        return [index for index in self.index_of_each(outside_ids) if index is not None]

    def index_of_each(self, outside_ids: Iterable[str]) -> list[int | None]:
        """Index of each id, None for an unknown one, in the order given."""
        kept = self._indices.get  # most are, and a call of Python for each would show
        return [
            index if (index := kept(each)) is not None else self.index(each) for each in outside_ids
        ]

    def id(self, index: int) -> str:
        """Outside id at an index. Raises `IndexError` outside 0..n-1."""
        if (kept := self._ids.get(index)) is None:
            kept = self.ids[index]
            self._ids.keep(index, kept)
        return kept

    def ids_at(self, indices: Iterable[int]) -> list[str]:
        """Outside ids at some indices, in their order. Raises `IndexError` outside 0..n-1."""
        kept = self._ids.get
        return [kept(index) or self.id(index) for index in indices]

    def check(self, name: str) -> None:
        """Raise `BundleError` unless every id is found at its own index."""
        self.ids.check(name)
        size = len(self.slots)
        if size & (size - 1) or size < 2 * len(self):
            raise BundleError(
                f"{name}: {size} slots for {len(self)} ids; accepted: a power of two, twice as many"
            )
        used = np.sort(self.slots[self.slots != EMPTY_SLOT])
        if not np.array_equal(used, np.arange(len(self))):
            raise BundleError(f"{name}: the slots do not hold each index once")
        for index, outside_id in enumerate(self.ids.tolist()):
            if self._found(outside_id) != index:
                raise BundleError(f"{name}: id {outside_id!r} is not found at index {index}")


def _hash(encoded: bytes) -> int:
    # CRC-32 is fast and portable; the multiplication (Knuth, TAOCP 3, 6.4) spreads runs of ids.
    return (zlib.crc32(encoded) * 2654435769 & 0xFFFFFFFF) >> 3
