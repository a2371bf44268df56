"""Opening the online store of a shop: a file of its own, or a server where one is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feature_store.layout import StoreLayout
from feature_store.online.follower import LogFollower
from feature_store.online.lmdb import LmdbStore
from feature_store.online.redis_target import RedisTarget, parse_target
from feature_store.online.store import Clock
from feature_store.online.stream_replay import FollowerOptions
from feature_store.online.visitor_draft import ErasedAt
from feature_store.online.visitors import linked_key
from recommender.errors import ConfigError, StorageBusyError

if TYPE_CHECKING:  # an extra, and not loaded where it is not used
    from feature_store.online.redis import RedisStore
    from feature_store.online.redis_reader import RedisReader

_MISSING = "the online store on Redis needs an extra: pip install 'desirepath[redis]'"


def open_redis(target: RedisTarget, clock: Clock) -> RedisStore:
    """The store on a server, which need not answer yet. Raises `ConfigError` without the extra."""
    try:
        from feature_store.online.redis import RedisStore
    except ImportError as error:
        raise ConfigError(_MISSING) from error
    return RedisStore(target, clock, link=linked_key)


def redis_reader(target: RedisTarget, clock: Clock, patience: float) -> RedisReader:
    """What reads one shopper on an event loop. Raises `ConfigError` without the extra."""
    try:
        from feature_store.online.redis_reader import RedisReader
    except ImportError as error:
        raise ConfigError(_MISSING) from error
    return RedisReader(target, clock, patience)


def open_store(
    layout: StoreLayout, clock: Clock, redis_url: str | None = None
) -> LmdbStore | RedisStore:
    """The store of a shop, for jobs beside its service.

    Parameters
    ----------
    redis_url
        The server; None for the file in the data folder.

    Raises
    ------
    ConfigError
        The address is not usable, or the extra is not installed.
    """
    if redis_url is None:
        return LmdbStore(layout.online, clock)
    return open_redis(parse_target(redis_url), clock)


def bring_up(layout: StoreLayout, store: LmdbStore | RedisStore, erased_at: ErasedAt) -> None:
    """See that a server knows what the log knows, before a job relies on it.

    Raises
    ------
    StorageBusyError
        The service is about to see to it itself.
    StorageError
        The server fails.
    """
    if isinstance(store, LmdbStore):
        return
    if not LogFollower(store, layout.log, erased_at, FollowerOptions(rest=0)).settle():
        raise StorageBusyError(
            "the service still brings its events into the online store; try again when the metric "
            'desirepath_online_log{counter="behind"} is 0'
        )
