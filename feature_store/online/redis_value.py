"""How a value lies in Redis: its deadline, the key that it names, then the caller's bytes.

Layout, big-endian::

    0   8  deadline, microseconds since the epoch
    8   2  length n of the key that the value names; 0: it names none
    10  n  that key as it is called in Redis
           the caller's bytes

A value that does nothing but lead to another one says so where the server can see it, so that
both are read in one round trip.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeAlias

from feature_store.online.store import encode_key

PREFIX = b"dp:"
"""In front of every key, so that other users of the database are left alone."""

Link: TypeAlias = Callable[[str, bytes], str | None]
"""Key and value → the key that the value leads to, None where it leads nowhere."""

_HEAD = struct.Struct(">QH")

READ_WITH_LINK = (
    "local found = redis.call('MGET', KEYS[1])[1] "
    "if not found or #found < 10 then return {found, false} end "
    "local size = string.byte(found, 9) * 256 + string.byte(found, 10) "
    "if size == 0 then return {found, false} end "
    "return {found, redis.call('MGET', string.sub(found, 11, 10 + size))[1]}"
)
"""Lua: the value of a key, and the value of the key that it names.

That key is not declared to the server, so this needs one server, not a Redis Cluster. MGET, because
a value of another kind is then absent rather than an error.
"""


def leads_nowhere(key: str, value: bytes) -> str | None:  # noqa: ARG001 - a `Link`
    """No value names another key."""
    return None


def redis_key(key: str) -> bytes:
    """Name of a key in Redis. Raises `InvalidInputError` as `encode_key`."""
    return PREFIX + encode_key(key)


def pack(deadline: int, named: str | None, value: bytes) -> bytes:
    """What is stored for a value that expires at `deadline`, microseconds."""
    name = b"" if named is None else redis_key(named)
    return _HEAD.pack(deadline, len(name)) + name + value


def unpack(stored: bytes | None, now: int) -> bytes | None:
    """The caller's bytes; None where the key is absent, expired or not of this form."""
    if stored is None or len(stored) < _HEAD.size:
        return None
    deadline, size = _HEAD.unpack_from(stored)
    return bytes(stored[_HEAD.size + size :]) if deadline > now else None


def deadline_of(stored: bytes) -> int:
    """Moment of expiry, microseconds; 0 for what is not of this form."""
    return int(_HEAD.unpack_from(stored)[0]) if len(stored) >= _HEAD.size else 0
