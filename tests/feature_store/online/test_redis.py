"""What is particular to Redis: its address, several processes, death, silence, a full memory."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.online.redis import RedisOptions, RedisStore
from feature_store.online.redis_target import RedisTarget, parse_target
from feature_store.online.redis_value import deadline_of, pack, unpack
from recommender.errors import ConfigError, StorageError, StorageFullError
from tests.redis_server import RedisServer, needs_redis, started

DAY = 86_400
NOW = 1_700_000_000_000_000
SHORT = RedisOptions(timeout_seconds=0.1)


def clock() -> int:
    return NOW


def put(store: RedisStore, key: str, value: bytes | None, ttl_seconds: float = DAY) -> None:
    store.update([key], lambda _: {key: value}, ttl_seconds)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = started(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    store = RedisStore(server.target, clock, SHORT)
    yield store
    store.close()


# ---- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://shop", RedisTarget("shop")),
        ("redis://[::1]:7000/3", RedisTarget("::1", 7000, 3)),
        ("rediss://me:p%40ss@shop:1", RedisTarget("shop", 1, 0, "me", "p@ss", tls=True)),
        ("redis://:secret@shop/", RedisTarget("shop", password="secret")),
    ],
)
def test_an_address_is_read(url: str, target: RedisTarget) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        *("", "shop:6379", "http://me:hunter2@shop", "redis://", "redis://me:hunter2@shop:port"),
        *("redis://me:hunter2@shop/one", "redis://me:hunter2@shop?db=1", "redis://me:hunt/er2@s"),
    ],
)
def test_an_unusable_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match="accepted: redis://") as refused:
        parse_target(url)
    assert "hunt" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_no_text_shows_a_password() -> None:
    target = parse_target("redis://me:hunter2@127.0.0.1:1/0")
    store = RedisStore(target, clock, SHORT)
    with pytest.raises(StorageError) as failed:
        store.get_many(["a"])
    for shown in (repr(target), str(target), repr(failed.value), repr(failed.value.__cause__)):
        assert "hunter2" not in shown


# ---- values --------------------------------------------------------------------------------------


@given(st.binary(), st.none() | st.text(min_size=1, max_size=80), st.integers(1, 1 << 60))
def test_a_value_comes_back_until_its_deadline(value: bytes, named: str, deadline: int) -> None:
    stored = pack(deadline, named, value)
    assert deadline_of(stored) == deadline
    assert unpack(stored, deadline - 1) == value
    assert unpack(stored, deadline) is None


@pytest.mark.parametrize("stored", [None, b"", b"short"])
def test_what_somebody_else_wrote_under_our_name_is_no_value(stored: bytes | None) -> None:
    assert unpack(stored, NOW) is None
    assert deadline_of(stored or b"") == 0


@needs_redis
def test_the_server_deletes_a_value_a_day_after_its_deadline(store: RedisStore) -> None:
    put(store, "a", b"1", ttl_seconds=10)
    left = store._client.pttl("dp:a")
    assert (DAY + 10) * 1000 - 5_000 < left <= (DAY + 10) * 1000


@needs_redis
def test_a_lasting_key_has_no_deadline_and_is_written_in_the_same_step(store: RedisStore) -> None:
    store.update(["a", "b"], lambda _: {"a": b"1", "b": b"2"}, 1, lasting=["b"])
    assert store._client.pttl("dp:b") == -1
    late = RedisStore(store._target, lambda: NOW + 10 * DAY * 1_000_000, SHORT)
    assert late.get_many(["a", "b"]) == [None, b"2"]
    late.close()


@needs_redis
def test_other_users_of_the_database_are_left_alone(store: RedisStore) -> None:
    store._client.set("cart:7", b"theirs")
    store._client.lpush("dp:list", b"not a value of ours")
    put(store, "a", b"1")
    assert store.get_many(["a", "list"]) == [b"1", None]
    assert [key for key, _ in store.scan("")] == ["a"]
    assert store._client.get("cart:7") == b"theirs"


@needs_redis
@pytest.mark.parametrize("prefix", ["v:*", "v:[a]", "v:\\", "v:?", "v:^-"])
def test_a_prefix_means_itself(store: RedisStore, prefix: str) -> None:
    put(store, prefix + "1", b"1")
    put(store, "v:other", b"2")
    assert list(store.scan(prefix)) == [(prefix + "1", b"1")]


# ---- several processes ---------------------------------------------------------------------------

INCREMENT = """
    import sys
    from feature_store.online.redis import RedisStore
    from feature_store.online.redis_target import RedisTarget
    store = RedisStore(RedisTarget("127.0.0.1", int(sys.argv[1])), lambda: 1_700_000_000_000_000)
    def increment(before):
        return {key: b"%d" % (int(value or 0) + 1) for key, value in before.items()}
    for _ in range(int(sys.argv[2])):
        store.update(["left", "right"], increment, 86400)
    store.close()
"""


@needs_redis
def test_increments_of_several_processes_are_all_kept(
    server: RedisServer, store: RedisStore
) -> None:
    program = [sys.executable, "-c", textwrap.dedent(INCREMENT), str(server.port), "150"]
    writers = [subprocess.Popen(program) for _ in range(3)]
    while any(writer.poll() is None for writer in writers):
        left, right = store.get_many(["left", "right"])
        assert left == right, "a reader saw half an update"
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert store.get_many(["left", "right"]) == [b"450", b"450"]


@needs_redis
def test_a_change_starts_over_when_somebody_else_was_faster(
    server: RedisServer, store: RedisStore
) -> None:
    rival = RedisStore(server.target, clock)
    seen: list[bytes | None] = []

    def change(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
        seen.append(before["a"])
        if len(seen) == 1:
            put(rival, "a", b"theirs")
        return {"a": (before["a"] or b"") + b"+mine"}

    store.update(["a"], change, DAY)
    assert seen == [None, b"theirs"]
    assert store.get_many(["a"]) == [b"theirs+mine"]
    rival.close()


@needs_redis
def test_it_does_not_try_for_ever(server: RedisServer) -> None:
    store = RedisStore(server.target, clock, RedisOptions(patience_seconds=0.05))
    rival = RedisStore(server.target, clock)

    def spoilt(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
        put(rival, "a", b"theirs")
        return {"a": b"mine"}

    with pytest.raises(StorageError, match="again and again"):
        store.update(["a"], spoilt, DAY)
    assert store.get_many(["a"]) == [b"theirs"]
    store.close()
    rival.close()


@needs_redis
def test_a_store_is_not_used_across_a_fork(store: RedisStore) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            store.get_many(["a"])
        except StorageError as error:
            os._exit(0 if "was opened in process" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    put(store, "a", b"1")
    assert store.get_many(["a"]) == [b"1"]


# ---- trouble -------------------------------------------------------------------------------------


@needs_redis
def test_an_error_of_the_change_is_not_taken_for_one_of_the_server(store: RedisStore) -> None:
    def change(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
        raise ConnectionResetError("mine")

    with pytest.raises(ConnectionResetError, match="mine"):
        store.update(["a"], change, DAY)


@needs_redis
def test_a_killed_server_is_an_error_and_serves_again_when_it_is_back(
    server: RedisServer, store: RedisStore
) -> None:
    put(store, "a", b"1")
    server.kill()
    with pytest.raises(StorageError, match="cannot read redis://127"):
        store.get_many(["a"])
    with pytest.raises(StorageError, match="cannot"):
        put(store, "a", b"2")
    with pytest.raises(StorageError, match="cannot read"):
        list(store.scan(""))
    server.start()
    assert store.get_many(["a"]) == [None]
    put(store, "a", b"3")
    assert store.get_many(["a"]) == [b"3"]


@needs_redis
def test_a_hung_server_is_waited_for_no_longer_than_set(
    server: RedisServer, store: RedisStore
) -> None:
    put(store, "a", b"1")
    server.hang()
    for attempt in (lambda: store.get_many(["a"]), lambda: put(store, "a", b"2")):
        before = time.monotonic()
        with pytest.raises(StorageError, match="Timeout"):
            attempt()
        assert time.monotonic() - before < 20 * SHORT.timeout_seconds
    server.resume()
    assert store.get_many(["a"])[0] in (b"1", b"2")


@needs_redis
def test_a_full_memory_is_told_apart(tmp_path: Path) -> None:
    server = started(tmp_path / "full", "--maxmemory", "2mb", "--maxmemory-policy", "noeviction")
    store = RedisStore(server.target, clock)
    put(store, "a", b"1")

    def fill() -> None:
        for n in range(100):
            put(store, f"k{n}", b"x" * 100_000)

    with pytest.raises(StorageFullError, match="no memory left"):
        fill()
    assert store.get_many(["a"]) == [b"1"]
    store.close()
    server.stop()


@needs_redis
def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path) -> None:
    server = started(tmp_path / "locked")
    store = RedisStore(
        RedisTarget("127.0.0.1", server.port, username="me", password="hunter2"), clock
    )
    with pytest.raises(StorageError, match="password") as failed:
        store.get_many(["a"])
    assert "hunter2" not in str(failed.value)
    server.stop()
