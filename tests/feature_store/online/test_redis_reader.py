"""One round trip per shopper, answers in order, and nobody waits for a server that is silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from feature_store.online.redis import RedisStore
from feature_store.online.redis_reader import RedisReader
from feature_store.online.redis_target import RedisTarget
from feature_store.online.visitors import Visitors, linked_key
from recommender.errors import StorageError
from tests.feature_store.log_cases import MovingClock, event
from tests.redis_server import needs_redis, started

PATIENCE = 0.05
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def fake(handler: Handler) -> tuple[AbstractAsyncContextManager[object], RedisReader]:
    """A server that does as it likes, and a reader that is connected to it."""
    listener = await asyncio.start_server(handler, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    return listener, RedisReader(RedisTarget("127.0.0.1", port), MovingClock(), PATIENCE)


def answering(*after_select: bytes, pause: float = 0.0) -> Handler:
    """A server that takes a SELECT, and then gives these answers to what comes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1024)
            writer.write(b"+OK\r\n")
            for answer in after_select:
                if not await reader.read(4096):
                    break
                await asyncio.sleep(pause)
                writer.write(answer)
            while await reader.read(4096):
                pass
        finally:
            writer.transport.abort()

    return handle


async def connected(reader: RedisReader) -> None:
    await reader.probe()
    assert reader.is_connected


def run(work: Callable[[], Awaitable[None]]) -> None:
    """Run a test on a loop, and give what was aborted time to go."""

    async def settled() -> None:
        await work()
        await asyncio.sleep(0.02)

    asyncio.run(settled())


@needs_redis
def test_a_visitor_a_user_and_whom_a_visitor_is_linked_to(tmp_path: Path) -> None:
    server, clock = started(tmp_path), MovingClock()
    store = RedisStore(server.target, clock, link=linked_key)
    visitors = Visitors(store)
    visitors.apply([event("a"), event("b", visitor_id="v2", user_id="u1")])

    async def read() -> None:
        reader = RedisReader(server.target, clock, 1.0)
        with pytest.raises(StorageError, match="no connection"):
            await reader.read("v1", None)
        await connected(reader)
        for asked, keys in {
            ("v1", None): ["v:v1", "none"],
            ("v2", None): ["v:v2", "u:u1"],
            ("v1", "u1"): ["v:v1", "u:u1"],
            ("", "u1"): ["none", "u:u1"],
            ("nobody", None): ["none", "none"],
        }.items():
            assert list(await reader.read(*asked)) == store.get_many(keys)
        answers = await asyncio.gather(*(reader.read(f"v{n % 3}", None) for n in range(500)))
        assert [raw is not None for raw, _ in answers] == [n % 3 > 0 for n in range(500)]
        clock.now += 91 * 86_400_000_000
        assert await reader.read("v2", None) == (None, None)
        reader.close()
        assert not reader.is_connected

    run(read)
    store.close()
    server.stop()


@needs_redis
def test_a_password_is_needed_and_given(tmp_path: Path) -> None:
    server = started(tmp_path, "--user", "me", "on", ">hunter2", "~*", "+@all")

    async def read() -> None:
        good = RedisReader(
            RedisTarget("127.0.0.1", server.port, username="me", password="hunter2"),
            MovingClock(),
            PATIENCE,
        )
        await connected(good)
        good.close()
        bad = RedisReader(
            RedisTarget("127.0.0.1", server.port, username="me", password="wrong2"),
            MovingClock(),
            PATIENCE,
        )
        with pytest.raises(StorageError, match="WRONGPASS") as refused:
            await bad.probe()
        assert "wrong2" not in str(refused.value)
        assert not bad.is_connected

    run(read)
    server.stop()


def test_a_silent_server_fails_all_who_wait_at_once() -> None:
    async def read() -> None:
        listener, reader = await fake(answering(b"+PONG\r\n"))
        async with listener:
            await connected(reader)
            began = time.monotonic()
            outcomes = await asyncio.gather(
                *(reader.read("v1", None) for _ in range(20)), return_exceptions=True
            )
            assert time.monotonic() - began < 10 * PATIENCE
            assert all("no answer within 50 ms" in str(each) for each in outcomes)
            with pytest.raises(StorageError, match="no connection"):
                await reader.read("v1", None)

    run(read)


def test_a_late_answer_is_never_taken_for_that_to_the_next_question() -> None:
    late = b"*2\r\n$11\r\nlate answer\r\n$-1\r\n"

    async def read() -> None:
        listener, reader = await fake(answering(b"+PONG\r\n", late, pause=0.0))
        async with listener:
            await connected(reader)
            task = asyncio.create_task(reader.read("v1", None))
            await asyncio.sleep(0)
            task.cancel()  # whoever asked has gone; the answer still comes
            with pytest.raises(StorageError):
                await reader.read("v2", None)
            reader.close()

    run(read)


def test_an_answer_in_the_socket_counts_although_this_process_was_late() -> None:
    absent = b"*2\r\n$-1\r\n$-1\r\n"

    async def read() -> None:
        listener, reader = await fake(answering(b"+PONG\r\n", absent))
        async with listener:
            await connected(reader)
            task = asyncio.create_task(reader.read("v1", None))
            await asyncio.sleep(0.01)
            time.sleep(3 * PATIENCE)  # the loop is held up
            assert await task == (None, None)
            reader.close()

    run(read)


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n",
        b"-LOADING in a while\r\n",
        b"",
        b"+one\r\n+two\r\n",
        b"*3\r\n+a\r\n+b\r\n+c\r\n",
        b"*2\r\n:1\r\n:2\r\n",
    ],
)
def test_whatever_a_server_says_is_an_error_at_worst(answer: bytes) -> None:
    async def read() -> None:
        listener, reader = await fake(answering(b"+PONG\r\n", answer))
        async with listener:
            await connected(reader)
            with pytest.raises(StorageError):
                await reader.read("v1", None)
            reader.close()

    run(read)


def test_nobody_at_the_address() -> None:
    async def read() -> None:
        listener, reader = await fake(answering())
        async with listener:
            pass
        with pytest.raises(StorageError, match="cannot connect"):
            await reader.probe()

    run(read)
