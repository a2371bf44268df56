"""What every online store promises: packed values by key, atomic change over several keys, expiry.

The rules, held by one contract suite over all implementations:

- a value is bytes; what it means is the caller's business;
- `update` is one atomic read-modify-write over its keys, also against other processes;
- a value whose deadline has passed is absent for every reader, swept away or not;
- nothing returned is tied to a transaction: what is read is copied out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from recommender.errors import InvalidInputError
from recommender.terms import MICROS_PER_SECOND

Clock: TypeAlias = Callable[[], int]
"""Microseconds since the epoch, UTC."""

Values: TypeAlias = dict[str, bytes | None]
Change: TypeAlias = Callable[[Values], Values]
"""Gets the values of all keys (None: absent), returns those to write (None: delete).

May be called more than once for one update, so it must have no effect but its result, and must
not call the store.
"""

MAX_KEY_BYTES = 511
MAX_TTL_SECONDS = 100 * 366 * 86_400
SWEEP_GRACE_MICROS = 86_400 * MICROS_PER_SECOND
"""How long past its deadline a value is kept on disk: a clock that jumps ahead for a while hides
values but does not destroy them."""


@runtime_checkable
class OnlineStore(Protocol):
    """Packed values by key."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values in the order of `keys`, None where absent or expired, all of one moment."""
        ...

    def update(self, keys: Sequence[str], change: Change, ttl_seconds: float) -> None:
        """Change the values of `keys` in one atomic step.

        Returns when the change is committed. An exception of `change` is raised here and leaves
        every value as it was. What is written expires `ttl_seconds` from now; keys that `change`
        does not return are left alone, their deadline too.

        Raises
        ------
        InvalidInputError
            A key is empty or longer than `MAX_KEY_BYTES`, or `ttl_seconds` is out of range.
        StorageFullError
            No space left; nothing was written.
        StorageError
            Closed, used in another process than it was opened in, or broken.
        """
        ...

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Live pairs whose key starts with `prefix`, by key bytes; not one moment."""
        ...

    def close(self) -> None:
        """Finish what is under way and let go. May be called twice."""
        ...


def encode_key(key: str) -> bytes:
    """Bytes of a key. Raises `InvalidInputError` unless they are 1 to `MAX_KEY_BYTES`."""
    encoded = key.encode("utf-8", "surrogatepass")
    if not 1 <= len(encoded) <= MAX_KEY_BYTES:
        raise InvalidInputError(
            f"key {key[:40]!r}… has {len(encoded)} bytes; accepted: 1 to {MAX_KEY_BYTES}"
        )
    return encoded


def decode_key(encoded: bytes) -> str:
    """Inverse of `encode_key`."""
    return encoded.decode("utf-8", "surrogatepass")


def encode_keys(keys: Iterable[str]) -> dict[str, bytes]:
    """Bytes of each key, repeated keys once."""
    return {key: encode_key(key) for key in keys}


def deadline(now: int, ttl_seconds: float) -> int:
    """Moment of expiry, microseconds. Raises `InvalidInputError` for an unusable time to live."""
    if not 0 < ttl_seconds <= MAX_TTL_SECONDS:
        raise InvalidInputError(
            f"ttl_seconds={ttl_seconds}; accepted: more than 0, up to {MAX_TTL_SECONDS}"
        )
    return now + int(ttl_seconds * MICROS_PER_SECOND)


def changed(change: Change, before: Values) -> Values:
    """Result of a change function, refused when it names keys that were not asked for."""
    after = change(dict(before))
    if strangers := [key for key in after if key not in before]:
        raise InvalidInputError(
            f"the change returned {strangers[:3]!r}, which are not keys of this update"
        )
    return after
