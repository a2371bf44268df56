"""Answers follow each other in the order asked, and the event loop turns between them."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from serving.errors import Problem
from serving.limits import Gate
from serving.turns import Turns


def test_answers_come_in_order_and_others_have_their_turn_between() -> None:
    async def run() -> list[str]:
        turns, done = Turns(Gate(100, "answers"), slice_seconds=0), list[str]()

        async def beside() -> None:
            for _ in range(12):
                done.append("other")
                await asyncio.sleep(0)

        asked = [turns.take(lambda n=n: done.append(f"{n}")) for n in range(5)]
        await asyncio.gather(*asked, beside())
        return done

    done = asyncio.run(run())
    assert [each for each in done if each != "other"] == ["0", "1", "2", "3", "4"]
    answers = [place for place, each in enumerate(done) if each != "other"]
    assert all(after - before > 1 for before, after in itertools.pairwise(answers))


def test_an_error_is_the_askers_own() -> None:
    async def run() -> list[object]:
        turns = Turns(Gate(100, "answers"))
        asked = [turns.take(lambda: 1 / 0), turns.take(lambda: 7)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert turns.gate.inside == 0
        return [*found, await turns.take(lambda: 8)]

    failed, *answers = asyncio.run(run())
    assert isinstance(failed, ZeroDivisionError)
    assert answers == [7, 8]


def test_short_answers_share_a_slice_and_those_behind_it_have_the_next() -> None:
    async def run() -> list[str]:
        turns, done = Turns(Gate(100, "answers"), slice_seconds=0.02), list[str]()

        async def beside() -> None:
            for _ in range(4):
                done.append("other")
                await asyncio.sleep(0)

        def long() -> None:
            time.sleep(0.03)
            done.append("long")

        makers = [lambda: done.append("short"), long, *[lambda: done.append("late")] * 3]
        await asyncio.gather(beside(), *(turns.take(each) for each in makers))
        return done

    done = asyncio.run(run())
    assert done == ["other", "short", "long", "other", "late", "late", "late", "other", "other"]


@pytest.mark.parametrize("slice_seconds", [0, 10])
@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
def test_who_leaves_the_queue_holds_up_nobody(ticks: int, slice_seconds: float) -> None:
    async def run() -> list[int]:
        turns, done = Turns(Gate(100, "answers"), slice_seconds), list[int]()
        tasks = [
            asyncio.create_task(turns.take(lambda n=n: done.append(n)))  # type: ignore[func-returns-value]
            for n in range(4)
        ]
        for _ in range(ticks):
            await asyncio.sleep(0)
        tasks[1].cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
            await turns.take(lambda: done.append(9))
        assert turns.gate.inside == 0
        return done

    done = asyncio.run(run())
    assert [each for each in done if each != 1] == [0, 2, 3, 9]


def test_too_many_are_refused() -> None:
    async def run() -> list[object]:
        turns = Turns(Gate(2, "answers"), slice_seconds=0)
        asked = [turns.take(lambda n=n: n) for n in range(4)]
        return await asyncio.gather(*asked, return_exceptions=True)

    *answers, last = asyncio.run(run())  # one is answered at once, two wait
    assert answers == [0, 1, 2]
    assert isinstance(last, Problem)
    assert last.status == 503
