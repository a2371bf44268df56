from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from serving.spread import Spread, evened
from tests.serving.service import Process, running, workers

CONNECTIONS = 16


@given(st.lists(st.integers(0, 2), max_size=60))
def test_whoever_the_system_chooses_all_have_about_as_many(chosen: list[int]) -> None:
    spread = Spread(3)
    places = [spread.place(number) for number in range(3)]
    for number in range(3):
        spread.begins(number, takes=True)
    near, far = socket.socketpair()
    with near, far, closing(spread):
        for number in chosen:
            if not places[number].gives_away(near):
                places[number].opened()
    counts = [spread.open(number) for number in range(3)]
    assert sum(counts) == len(chosen)
    # A box that is full gives nothing away; up to that the counts differ by one at most.
    if len(chosen) <= 9:
        assert max(counts) - min(counts) <= 1


def test_nothing_is_given_to_those_who_are_not_there() -> None:
    spread = Spread(2)
    spread.begins(0, takes=True)
    place = spread.place(0)
    near, far = socket.socketpair()
    with near, far, closing(spread):
        for _ in range(5):
            assert not place.gives_away(near)
            place.opened()
        spread.begins(1, takes=True)
        assert place.gives_away(near)
        spread.begins(1, takes=False)
        assert not place.gives_away(near)


def test_a_connection_that_was_given_is_served_by_the_other() -> None:
    async def run(spread: Spread) -> bytes:
        giver, taker = spread.place(0), spread.place(1)
        spread.begins(0, takes=True)
        giver.opened()

        class Greeting(asyncio.Protocol):
            def __init__(self, name: bytes = b"giver") -> None:
                self.name = name

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                transport.write(self.name)
                transport.close()

        taken = evened(Greeting, taker)
        taker.begin(lambda: taken(b"taker", is_given=True))
        loop = asyncio.get_running_loop()
        server = await loop.create_server(evened(Greeting, giver), "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
        taker.end()
        assert spread.open(0) == 1
        return said

    with closing(Spread(2)) as spread:
        assert asyncio.run(run(spread)) == b"taker"


def connections(process: Process) -> list[int]:
    """Sockets that each worker has open to callers."""
    port = int(process.url.rpartition(":")[2])
    owners = Counter[int]()
    local = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if int(line.split()[1].split(":")[1], 16) == port and line.split()[3] == "01"
    }
    for pid in workers(process):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                name = f"{descriptor.readlink()}"
            except FileNotFoundError:
                continue
            owners[pid] += name.removeprefix("socket:[").removesuffix("]") in local
    return [owners[pid] for pid in workers(process)]


def test_callers_who_stay_are_spread_evenly(root: Path) -> None:
    with running(root, "--dev", "--workers", "3") as process:
        callers = [process.client() for _ in range(CONNECTIONS)]
        try:
            for caller in callers:
                assert caller.get("/health/live").status_code == 200
            counts = connections(process)
            assert sum(counts) == CONNECTIONS
            assert max(counts) - min(counts) <= 3, counts
            for caller in callers:  # they are the same connections still
                assert caller.get("/health/live").status_code == 200
            assert sum(connections(process)) == CONNECTIONS
        finally:
            for caller in callers:
                caller.close()
