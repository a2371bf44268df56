"""An online store that knows many shoppers, filled without sending their events one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.latency_parts import visitors
from benchmarks.latency_parts.phases import now
from feature_store.events import EventItem, InteractionEvent
from feature_store.layout import StoreLayout
from feature_store.online.lmdb import LmdbStore
from feature_store.online.memory import MemoryStore
from feature_store.online.redis import RedisStore
from feature_store.online.redis_target import parse_target
from feature_store.online.store import Values
from feature_store.online.visitors import VisitorOptions, Visitors, linked_key
from recommender.catalogue import Catalogue

DIFFERENT: Final = 200
CHUNK: Final = 1_000
KEY: Final = "v:{}"  # see `feature_store.online.visitors`


def fill(root: Path, catalogue: Catalogue, count: int, seed: int, redis_url: str = "") -> None:
    """Let the store of a data folder know so many shoppers whom nobody asks for.

    Their states are those of `DIFFERENT` shoppers in turn, made by the code that serves.

    Parameters
    ----------
    redis_url
        The server that holds the store instead, where there is one.
    """
    states = _states(catalogue, seed)
    with closing(_store(root, redis_url)) as store:
        pairs = ((KEY.format(f"known-{n}"), states[n % len(states)]) for n in range(count))
        while chunk := dict(islice(pairs, CHUNK)):
            store.update(list(chunk), _writes(chunk), VisitorOptions().ttl_seconds)


def _store(root: Path, redis_url: str) -> LmdbStore | RedisStore:
    if redis_url:
        return RedisStore(parse_target(redis_url), now, link=linked_key)
    return LmdbStore(StoreLayout(root).online, now)


def _writes(chunk: dict[str, bytes]) -> Callable[[Values], Values]:
    return lambda _: dict(chunk)


def _states(catalogue: Catalogue, seed: int) -> list[bytes]:
    memory = MemoryStore(now)
    Visitors(memory).apply(list(_events(catalogue, seed)))
    keys = [KEY.format(visitors.visitor_id(number)) for number in range(DIFFERENT)]
    return [state for state in memory.get_many(keys) if state is not None]


def _events(catalogue: Catalogue, seed: int) -> Iterator[InteractionEvent]:
    for each in visitors.steps(catalogue, DIFFERENT, seed, now()):
        yield InteractionEvent(
            event_id=str(each["event_id"]),
            event_type=str(each["event_type"]),
            ts=int(str(each["ts"])),
            visitor_id=str(each["visitor_id"]),
            items=tuple(EventItem(item["item_id"]) for item in each["items"]),  # type: ignore[attr-defined]
        )
