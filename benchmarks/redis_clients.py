"""What one read of a shopper from Redis costs the process that asks, by client, in turns.

Run ``python -m benchmarks.redis_clients``; with ``--json`` the last line of standard output is one
object. Processor time is that of this process alone, the server's comes on top. The reads are the
one that the service makes: the script for redis-py's two clients, and `RedisReader` itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import redis
import redis.asyncio
import uvloop

from feature_store.console import Console
from feature_store.online.redis import RedisStore
from feature_store.online.redis_reader import RedisReader
from feature_store.online.redis_value import READ_WITH_LINK, redis_key
from feature_store.online.visitors import Visitors, linked_key
from tests.feature_store.log_cases import MovingClock, event
from tests.redis_server import BINARY, started

OURS, ASYNCIO, SYNC = "RedisReader", "redis-py asyncio", "redis-py, blocking"
AT_A_TIME: Final = (1, 16)
WARM_UP: Final = 50
Read = Callable[[], Awaitable[object]]


async def cost(read: Read, reads: int, at_a_time: int) -> tuple[float, float]:
    """Processor and wall microseconds of one read."""

    async def work(count: int) -> None:
        for _ in range(count):
            await read()

    await work(WARM_UP)
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work(reads // at_a_time) for _ in range(at_a_time)))
    spent, passed = time.process_time() - cpu, time.perf_counter() - wall
    return spent / reads * 1e6, passed / reads * 1e6


async def measured(port: int, reader: RedisReader, given: argparse.Namespace) -> dict[str, object]:
    """All clients in turn, several rounds; medians, and ratios within a round."""
    await reader.probe()
    asking, blocking = redis.asyncio.Redis(port=port), redis.Redis(port=port)
    key = redis_key("v:v1")

    async def block() -> object:
        return blocking.eval(READ_WITH_LINK, 1, key)

    reads: dict[str, Read] = {
        OURS: lambda: reader.read("v1", None),
        ASYNCIO: lambda: asking.eval(READ_WITH_LINK, 1, key),
        SYNC: block,
    }
    found: defaultdict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for _ in range(given.rounds):
        for at_a_time in AT_A_TIME:
            for name, read in reads.items():
                found[name, at_a_time].append(await cost(read, given.reads, at_a_time))
    await asking.aclose()
    blocking.close()
    reader.close()
    rows = []
    for (name, at_a_time), costs in found.items():
        ours = found[OURS, at_a_time]
        ratios = [one[0] / own[0] for one, own in zip(costs, ours, strict=True)]
        rows.append(
            {
                "client": name,
                "at a time": at_a_time,
                "cpu us": round(statistics.median(each[0] for each in costs), 1),
                "wall us": round(statistics.median(each[1] for each in costs), 1),
                "cpu, of ours": round(statistics.median(ratios), 2),
            }
        )
    return {"rounds": given.rounds, "reads": given.reads, "rows": rows}


def main() -> None:
    if BINARY is None:
        sys.exit("refused: no redis-server on PATH; install it, `apt-get install redis-server`")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reads", type=int, default=4000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    console, clock = Console(as_json=given.json), MovingClock()
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as scratch:
        server = started(Path(scratch))
        try:
            store = RedisStore(server.target, clock, link=linked_key)
            events = [event(f"e{number}", user_id="u1") for number in range(60)]
            Visitors(store).apply(events)
            store.close()
            reader = RedisReader(server.target, clock, 10.0)
            result = uvloop.run(measured(server.port, reader, given))
        finally:
            server.stop()
    console.table("one read of a shopper", result["rows"])  # type: ignore[arg-type]
    if given.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
