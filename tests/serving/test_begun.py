"""A coroutine that is started by hand goes on as if it had been awaited from the beginning."""

from __future__ import annotations

import asyncio

import pytest

from serving.begun import Begun


async def after(future: asyncio.Future[int] | None, seen: list[str]) -> int:
    seen.append("begun")
    try:
        found = 7 if future is None else await future
        await asyncio.sleep(0)
    except BaseException as error:
        seen.append(type(error).__name__)
        raise
    else:
        return found


async def at_once(value: int) -> int:
    return value


def test_what_need_not_wait_is_there_at_once() -> None:
    begun = Begun(at_once(5))
    assert begun.result == 5

    async def run() -> int:
        return await begun

    assert asyncio.run(run()) == 5


def test_what_waits_is_awaited_to_its_end() -> None:
    async def run() -> tuple[int | None, int]:
        future, seen = asyncio.get_running_loop().create_future(), list[str]()
        begun = Begun(after(future, seen))
        asyncio.get_running_loop().call_soon(future.set_result, 3)
        assert seen == ["begun"]
        return begun.result, await begun

    assert asyncio.run(run()) == (None, 3)


def test_errors_and_cancellation_reach_it() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        failing, seen = loop.create_future(), list[str]()
        begun = Begun(after(failing, seen))
        loop.call_soon(failing.set_exception, KeyError("x"))
        with pytest.raises(KeyError):
            await begun
        assert seen == ["begun", "KeyError"]

        waiting = Begun(after(loop.create_future(), seen))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await waiting
        assert seen[2:] == ["begun", "CancelledError"]

    asyncio.run(run())


def test_an_error_of_the_first_step_is_raised_at_once() -> None:
    async def failing() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Begun(failing())
