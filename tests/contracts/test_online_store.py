"""What every `OnlineStore` must do, run over every implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from feature_store.online.lmdb import LmdbStore
from feature_store.online.memory import MemoryStore
from feature_store.online.redis import RedisStore
from feature_store.online.store import MAX_KEY_BYTES, MAX_TTL_SECONDS, OnlineStore
from recommender.errors import InvalidInputError, StorageError
from tests.redis_server import needs_redis, started

DAY = 86_400
MICROS = 1_000_000


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * MICROS

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * MICROS)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@contextmanager
def _memory(path: Path, clock: SetClock) -> Iterator[OnlineStore]:
    yield MemoryStore(clock)


@contextmanager
def _lmdb(path: Path, clock: SetClock) -> Iterator[OnlineStore]:
    yield LmdbStore(path / "online", clock, map_size_bytes=1 << 20)


@contextmanager
def _redis(path: Path, clock: SetClock) -> Iterator[OnlineStore]:
    server = started(path / "redis")
    try:
        yield RedisStore(server.target, clock)
    finally:
        server.stop()


IMPLEMENTATIONS: dict[str, Callable[[Path, SetClock], AbstractContextManager[OnlineStore]]] = {
    "memory": _memory,
    "lmdb": _lmdb,
    "redis": _redis,
}


STORES = ["memory", "lmdb", pytest.param("redis", marks=needs_redis)]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Iterator[OnlineStore]:
    with IMPLEMENTATIONS[request.param](tmp_path, clock) as store:
        yield store
        store.close()


def put(store: OnlineStore, values: dict[str, bytes | None], ttl_seconds: float = DAY) -> None:
    store.update(list(values), lambda _: dict(values), ttl_seconds)


def test_it_is_an_online_store(store: OnlineStore) -> None:
    assert isinstance(store, OnlineStore)


def test_an_unknown_key_has_no_value(store: OnlineStore) -> None:
    assert store.get_many(["a", "b"]) == [None, None]
    assert store.get_many([]) == []


def test_values_come_back_in_the_order_asked_and_as_often_as_asked(store: OnlineStore) -> None:
    put(store, {"a": b"1", "b": b"\x00" * 5000, "c": b""})
    assert store.get_many(["c", "a", "x", "b", "a"]) == [b"", b"1", None, b"\x00" * 5000, b"1"]


def test_a_change_sees_every_key_and_writes_only_what_it_returns(store: OnlineStore) -> None:
    put(store, {"a": b"1", "b": b"2"})
    seen = {}

    def change(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
        seen.update(before)
        return {"b": b"3"}

    store.update(["a", "b", "c", "a"], change, DAY)
    assert seen == {"a": b"1", "b": b"2", "c": None}
    assert store.get_many(["a", "b", "c"]) == [b"1", b"3", None]


def test_none_deletes(store: OnlineStore) -> None:
    put(store, {"a": b"1"})
    put(store, {"a": None, "never": None})
    assert store.get_many(["a", "never"]) == [None, None]
    assert list(store.scan("")) == []


def test_an_exception_of_the_change_reaches_its_caller_and_changes_nothing(
    store: OnlineStore,
) -> None:
    put(store, {"a": b"1"})

    def change(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
        before["a"] = b"spoiled"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        store.update(["a"], change, DAY)
    assert store.get_many(["a"]) == [b"1"]


def test_a_change_may_not_write_other_keys(store: OnlineStore) -> None:
    with pytest.raises(InvalidInputError, match="not keys of this update"):
        store.update(["a"], lambda _: {"a": b"1", "b": b"2"}, DAY)
    assert store.get_many(["a", "b"]) == [None, None]


def test_one_failing_change_does_not_sink_those_beside_it(store: OnlineStore) -> None:
    def attempt(n: int) -> str:
        def change(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
            if n % 3 == 0:
                raise ValueError(n)
            return {f"k{n}": b"%d" % n}

        try:
            store.update([f"k{n}"], change, DAY)
        except ValueError as error:
            return f"failed {error}"
        return "done"

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(attempt, range(300)))
    assert outcomes == [f"failed {n}" if n % 3 == 0 else "done" for n in range(300)]
    assert len(list(store.scan("k"))) == 200


def test_concurrent_increments_are_all_kept(store: OnlineStore) -> None:
    def increment(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
        return {key: b"%d" % (int(value or 0) + 1) for key, value in before.items()}

    def work() -> None:
        for _ in range(50):
            store.update(["left", "right"], increment, DAY)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        left, right = store.get_many(["left", "right"])
        assert left == right, "a reader saw half an update"
    assert store.get_many(["left", "right"]) == [b"400", b"400"]


def test_a_value_expires_and_its_deadline_is_renewed_by_a_write(
    store: OnlineStore, clock: SetClock
) -> None:
    put(store, {"a": b"1", "b": b"1"}, ttl_seconds=10)
    clock.advance(9.9)
    assert store.get_many(["a", "b"]) == [b"1", b"1"]
    put(store, {"b": b"2"}, ttl_seconds=10)
    clock.advance(0.1)
    assert store.get_many(["a", "b"]) == [None, b"2"]
    assert [key for key, _ in store.scan("")] == ["b"]


def test_a_change_does_not_see_an_expired_value(store: OnlineStore, clock: SetClock) -> None:
    put(store, {"a": b"old"}, ttl_seconds=1)
    clock.advance(1)
    store.update(["a"], lambda before: {"a": repr(before["a"]).encode()}, DAY)
    assert store.get_many(["a"]) == [b"None"]


def test_a_clock_that_jumps_ahead_for_a_while_hides_values_but_loses_none(
    store: OnlineStore, clock: SetClock
) -> None:
    put(store, {"a": b"1"}, ttl_seconds=60)
    clock.advance(2 * 3600)
    assert store.get_many(["a"]) == [None]
    assert store.sweep() == 0
    clock.advance(-2 * 3600)
    assert store.get_many(["a"]) == [b"1"]


def test_the_sweeper_is_bounded_and_gets_through_everything(
    store: OnlineStore, clock: SetClock
) -> None:
    put(store, {f"short{n:03}": b"x" for n in range(250)}, ttl_seconds=1)
    put(store, {f"long{n:03}": b"x" for n in range(250)}, ttl_seconds=30 * DAY)
    clock.advance(2 * DAY)
    removed = [store.sweep(limit=100) for _ in range(12)]
    assert sum(removed) == 250
    assert max(removed) <= 100
    assert len(list(store.scan(""))) == 250


def test_scan_gives_live_pairs_of_a_prefix_in_byte_order(store: OnlineStore) -> None:
    keys = ["v:", "v:a", "v:b", "v:é", "v:用户", "v:\U0001f600", "u:a", "w", "v"]
    put(store, {key: key.encode() for key in keys})
    expected = sorted((key for key in keys if key.startswith("v:")), key=str.encode)
    assert list(store.scan("v:")) == [(key, key.encode()) for key in expected]
    assert len(list(store.scan(""))) == len(keys)
    assert list(store.scan("zzz")) == []


def test_scan_reads_past_a_page_and_holds_nothing_while_paused(store: OnlineStore) -> None:
    put(store, {f"p{n:05}": b"x" for n in range(2500)})
    scan = store.scan("p")
    next(scan)
    put(store, {"p02400": None, "q": b"other"})
    assert len(list(scan)) == 2498


@pytest.mark.parametrize(
    "key", ["a\0b", "\0", "é" * 200, "\U0001f600", "\u202ebidi", "x" * MAX_KEY_BYTES]
)
def test_keys_are_kept_byte_exact(store: OnlineStore, key: str) -> None:
    put(store, {key: b"1"})
    assert store.get_many([key]) == [b"1"]
    assert list(store.scan("")) == [(key, b"1")]


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY_BYTES + 1), "é" * 256])
def test_an_unusable_key_is_refused_clearly(store: OnlineStore, key: str) -> None:
    with pytest.raises(InvalidInputError, match="accepted: 1 to 511"):
        store.get_many([key])
    with pytest.raises(InvalidInputError, match="accepted: 1 to 511"):
        put(store, {"good": b"1", key: b"1"})
    assert store.get_many(["good"]) == [None]


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), MAX_TTL_SECONDS + 1])
def test_an_unusable_time_to_live_is_refused_clearly(store: OnlineStore, ttl: float) -> None:
    with pytest.raises(InvalidInputError, match="ttl_seconds"):
        put(store, {"a": b"1"}, ttl_seconds=ttl)


def test_a_closed_store_says_so(store: OnlineStore) -> None:
    put(store, {"a": b"1"})
    store.close()
    store.close()
    with pytest.raises(StorageError, match="closed"):
        store.get_many(["a"])
    with pytest.raises(StorageError, match="closed"):
        put(store, {"a": b"2"})
    with pytest.raises(StorageError, match="closed"):
        list(store.scan(""))
