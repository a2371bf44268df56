"""Latest feature values in the online store: written by `materialise_view`, read while answering.

One packed value per entity; a request's hundred candidates are one read. Names are kept once per
view, under ``fv:<view>``; values under ``f:<view>:<entity>``.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product

import msgspec

from feature_store.online.store import MAX_KEY_BYTES, OnlineStore, Values
from recommender.errors import DataError

Value = float | int | None
PUT_CHUNK = 500


class FeatureRow(msgspec.Struct, frozen=True, array_like=True):
    """Values of one entity, in the order of the view's names, as known at `at` (microseconds)."""

    at: int
    values: tuple[Value, ...]


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """`FeatureRow` with the checksum of the names it was written for."""

    names: int
    at: int
    values: tuple[Value, ...]


_NAMES = msgspec.msgpack.Decoder(tuple[str, ...])
_STORED = msgspec.msgpack.Decoder(_Stored)


def entity_key(view: str, entity: Sequence[str]) -> str:
    """Key of one entity's values; ids of any content stay apart, very long ones are hashed."""
    body = "".join(f"{len(part)}:{part}" for part in entity)
    key = f"f:{view}:{body}"
    if len(key.encode("utf-8", "surrogatepass")) <= MAX_KEY_BYTES:
        return key
    digest = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
    return f"f:{view}:#{digest}"


def put_features(
    store: OnlineStore,
    view: str,
    names: Sequence[str],
    rows: Iterable[tuple[tuple[str, ...], FeatureRow]],
    ttl_seconds: float,
) -> int:
    """Write the values of entities; returns how many. A newer value is not overwritten."""
    encoded = msgspec.msgpack.encode(tuple(names))
    store.update([f"fv:{view}"], lambda _: {f"fv:{view}": encoded}, ttl_seconds)
    checksum, written, pending = zlib.crc32(encoded), 0, iter(rows)
    while chunk := dict(islice(pending, PUT_CHUNK)):
        stored = {
            entity_key(view, entity): _Stored(checksum, row.at, row.values)
            for entity, row in chunk.items()
        }
        written += _put_chunk(store, stored, ttl_seconds)
    return written


def _put_chunk(store: OnlineStore, chunk: Mapping[str, _Stored], ttl_seconds: float) -> int:
    newest: Values = {}

    def change(before: Values) -> Values:
        newest.clear()
        for key, raw in before.items():
            if raw is None or _STORED.decode(raw).at <= chunk[key].at:
                newest[key] = msgspec.msgpack.encode(chunk[key])
        return dict(newest)

    store.update(list(chunk), change, ttl_seconds)
    return len(newest)


def get_features(
    store: OnlineStore, view: str, entities: Sequence[Sequence[str]]
) -> list[dict[str, Value] | None]:
    """Latest values of each entity by name.

    None where nothing is known, or only values from before the view's features were changed.

    Raises
    ------
    DataError
        The view was never materialised.
    """
    encoded, *rows = store.get_many([f"fv:{view}", *(entity_key(view, one) for one in entities)])
    if encoded is None:
        raise DataError(f"view {view!r} is not in the online store: run `desirepath materialise`")
    names, checksum = _NAMES.decode(encoded), zlib.crc32(encoded)
    return [None if raw is None else _named(names, checksum, raw) for raw in rows]


def _named(names: tuple[str, ...], checksum: int, raw: bytes) -> dict[str, Value] | None:
    stored = _STORED.decode(raw)
    if stored.names != checksum:
        return None
    return dict(zip(names, stored.values, strict=True))


def forget_features(store: OnlineStore, names: Iterable[str]) -> None:
    """Delete the values of all entities, in all views, whose first part is one of these ids."""
    views = [key[len("fv:") :] for key, _ in store.scan("fv:")]
    for view, name in product(views, names):
        keys = {key for key, _ in store.scan(f"f:{view}:{len(name)}:{name}")}
        keys.add(entity_key(view, (name,)))
        store.update(sorted(keys), dict.fromkeys, 1)
