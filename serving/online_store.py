"""The online store that the settings name, and what a remote one needs beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from feature_store.online.breaker import Breaker
from feature_store.online.follower import LogFollower
from feature_store.online.lmdb import LmdbStore
from feature_store.online.opening import open_redis, redis_reader
from feature_store.online.redis_target import parse_target
from feature_store.online.store import Clock, OnlineStore
from feature_store.online.visitor_draft import ErasedAt
from feature_store.online.visitors import Visitors
from serving.lookup import OUTCOMES, Lookup
from serving.settings import Settings
from serving.state import ServiceState
from serving.telemetry import Metrics

REDIS = "redis"


@dataclass(frozen=True, slots=True)
class Online:
    """An online store and its companions; see `serving.state.ServiceState`."""

    store: OnlineStore
    visitors: Visitors
    lookup: Lookup | None = None
    follower: LogFollower | None = None


def open_online(settings: Settings, clock: Clock, erased_at: ErasedAt, metrics: Metrics) -> Online:
    """Open the store. A remote one need not answer yet.

    Raises
    ------
    ConfigError
        The extra for Redis is not installed.
    """
    if settings.online_store != REDIS:
        local = LmdbStore(settings.layout.online, clock, settings.online_map_bytes)
        return Online(local, Visitors(local, erased_at=erased_at))
    target = parse_target(settings.redis_url)
    store = open_redis(target, clock)
    breaker = Breaker(
        REDIS, time.monotonic, on_turn=lambda is_open: metrics.turned(REDIS, is_open=is_open)
    )
    metrics.breakers_open.labels(REDIS).set(0)
    reads = {outcome: metrics.online_reads.labels(outcome) for outcome in OUTCOMES}
    lookup = Lookup(
        redis_reader(target, clock, settings.redis_timeout_seconds),
        breaker,
        lambda outcome: reads[outcome].inc(),
        np.random.default_rng(),
    )
    follower = LogFollower(
        store, settings.layout.log, erased_at, is_trusted=lambda: not breaker.is_open
    )
    return Online(store, Visitors(store, erased_at=erased_at), lookup, follower)


async def start_online(state: ServiceState) -> None:
    """Begin to ask a remote store, and to keep it in step."""
    if state.lookup is not None and state.follower is not None:
        await state.lookup.start()
        state.follower.start()


async def stop_online(state: ServiceState) -> None:
    """Leave a remote store alone; what it misses is in the log."""
    if state.lookup is not None and state.follower is not None:
        await state.lookup.stop()
        state.follower.close()
