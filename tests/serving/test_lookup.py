"""Looking shoppers up in another process: few wait for trouble, one probes, it ends by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import numpy as np

from feature_store.online.breaker import Breaker, BreakerOptions
from feature_store.online.visitors import Pair
from recommender.errors import StorageError
from serving.lookup import ANSWERED, FAILED, LATE_OR_BROKEN, NOT_ASKED, Found, Lookup

KNOWN: Pair = (b"visitor", None)


class FakeReader:
    """Answers, or fails, as it is told; remembers what it was asked."""

    def __init__(self) -> None:
        self.works = True
        self.asked: Counter[str] = Counter()

    async def read(self, visitor_id: str, user_id: str | None) -> Pair:
        self.asked["read"] += 1
        await asyncio.sleep(0)
        if not self.works:
            raise StorageError("no answer")
        return KNOWN

    async def probe(self) -> None:
        self.asked["probe"] += 1
        if not self.works:
            raise StorageError("no answer")

    def close(self) -> None:
        self.asked["close"] += 1


def run(
    work: Callable[[Lookup, FakeReader, Counter[str]], Awaitable[None]], **options: float
) -> None:
    async def started() -> None:
        reader, counted = FakeReader(), Counter[str]()
        breaker = Breaker("redis", lambda: 0.0, BreakerOptions(**options))  # type: ignore[arg-type]
        lookup = Lookup(
            reader, breaker, lambda outcome: counted.update([outcome]), np.random.default_rng(1)
        )
        await lookup.start()
        await work(lookup, reader, counted)
        await lookup.stop()
        assert reader.asked["close"] == 1

    asyncio.run(started())


def test_nobody_is_looked_up_who_is_not_named() -> None:
    async def work(lookup: Lookup, reader: FakeReader, counted: Counter[str]) -> None:
        assert await lookup.find(None, None) is None
        assert await lookup.find("v", None) == Found(KNOWN)
        assert await lookup.find(None, "u") == Found(KNOWN)
        assert counted == {ANSWERED: 2}

    run(work)


def test_while_it_fails_three_ask_and_one_probes_however_many_questions_come() -> None:
    async def work(lookup: Lookup, reader: FakeReader, counted: Counter[str]) -> None:
        reader.works = False
        for _ in range(500):
            found = await lookup.find("v", None)
            assert found is not None
            assert found.failure == FAILED
        assert reader.asked["read"] <= 3
        assert counted[LATE_OR_BROKEN] + counted[NOT_ASKED] == 500
        await asyncio.sleep(0.3)
        assert reader.asked["probe"] < 30, "probes come more and more rarely"

    run(work, probe_seconds=0.02, most_seconds=0.05)


def test_it_is_asked_again_when_a_probe_came_through() -> None:
    async def work(lookup: Lookup, reader: FakeReader, counted: Counter[str]) -> None:
        reader.works = False
        for _ in range(3):
            await lookup.find("v", None)
        assert lookup.breaker.is_open
        reader.works = True
        while lookup.breaker.is_open:
            await asyncio.sleep(0.01)
        assert await lookup.find("v", None) == Found(KNOWN)

    run(work, probe_seconds=0.02)


def test_trouble_is_noticed_by_one_probe_after_the_other_while_nobody_asks() -> None:
    async def work(lookup: Lookup, reader: FakeReader, counted: Counter[str]) -> None:
        reader.works = False
        while reader.asked["probe"] == 1:
            await asyncio.sleep(0)
        await asyncio.sleep(0.005)
        assert lookup.breaker.is_open, "long before three probes are due"
        assert counted == {}

    run(work, probe_seconds=0.02)


def test_the_first_failure_is_looked_into_at_once() -> None:
    async def work(lookup: Lookup, reader: FakeReader, counted: Counter[str]) -> None:
        await asyncio.sleep(0)  # the watch begins
        reader.works = False
        await lookup.find("v", None)
        reader.works = True
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert reader.asked["probe"] == 2, "the start, and this one, long before the next is due"

    run(work, probe_seconds=60.0, most_seconds=60.0)


def test_a_defect_of_the_reader_does_not_end_the_watch() -> None:
    async def work(lookup: Lookup, reader: FakeReader, counted: Counter[str]) -> None:
        probe = reader.probe

        async def broken() -> None:
            reader.asked["broken"] += 1
            raise TypeError("a defect")

        reader.probe = broken  # type: ignore[method-assign]
        while reader.asked["broken"] < 3:
            await asyncio.sleep(0.01)
        assert lookup.breaker.is_open
        reader.probe = probe  # type: ignore[method-assign]
        while lookup.breaker.is_open:
            await asyncio.sleep(0.01)

    run(work, probe_seconds=0.01)
