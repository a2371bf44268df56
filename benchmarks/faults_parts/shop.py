"""The shop under fault: its service, its Redis, its A/B test, and the questions of its visitors."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import msgspec

from benchmarks.latency_parts.processes import TICKS_PER_SECOND
from benchmarks.open_loop import Question, request_bytes
from feature_store.online.opening import open_redis
from feature_store.online.stream_state import PLACES
from recommender.errors import DataError
from serving.app import wall_clock
from tests.redis_server import RedisServer, started
from tests.serving.experiments import make
from tests.serving.service import Process, publish_shop, running, workers

ASK, TELL = "/v1/recommendations", "/v1/events"
HEADERS: Final = {"Content-Type": "application/json"}
EXPERIMENT: Final = "faults"
IN_USE: Final = "experiment in use"
VISITORS: Final = 400
EVENT_EVERY: Final = 5
ITEMS: Final = 200
STEADY_SECONDS: Final = 120.0
BATCH: Final = 500


@dataclass(slots=True)
class Shop:
    """A running service with its own Redis.

    Parameters
    ----------
    proxy
        What stands between the two; None where nothing does.
    """

    root: Path
    redis: RedisServer
    service: Process
    workers: int
    proxy: subprocess.Popen[str] | None = None

    def delay(self, seconds: float) -> None:
        """Hold every answer of Redis back."""
        if self.proxy is None or self.proxy.stdin is None:
            raise DataError("nothing stands between this service and its Redis")
        self.proxy.stdin.write(f"{seconds}\n")
        self.proxy.stdin.flush()

    def ages(self) -> dict[int, float]:
        """Seconds since the start of each worker."""
        now, ages = time.clock_gettime(time.CLOCK_BOOTTIME), {}
        for pid in workers(self.service):
            with contextlib.suppress(OSError):  # it has just ended
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
                began = int(stat.rpartition(")")[2].split()[19]) / TICKS_PER_SECOND
                ages[pid] = now - began
        return ages

    def moments(self, said: str, after: float) -> list[float]:
        """When the service logged something, seconds since the epoch, ascending."""
        lines = self.service.log.read_bytes().splitlines()
        found = (msgspec.json.decode(line) for line in lines if said.encode() in line)
        return sorted(each["ts"] for each in found if each["ts"] >= after - 0.001)

    def metric(self, line: str) -> float:
        """A line of ``/metrics``."""
        text = httpx.get(f"{self.service.url}/metrics", timeout=10).text
        values = [each.rsplit(" ", 1)[1] for each in text.splitlines() if each.startswith(line)]
        return sum(map(float, values))

    def streams(self) -> int:
        """How many workers have told Redis how far they are."""
        with contextlib.closing(open_redis(self.redis.target, wall_clock)) as store:
            return sum(1 for _ in store.scan(PLACES))

    def wait_until_assigned(self) -> None:
        """Wait until every worker assigns arms: one made the test, the others read its file.

        Raises `DataError`.
        """
        self._wait(lambda: len(self.moments(IN_USE, 0)) >= self.workers, "has a test without arms")

    def wait_until_steady(self) -> None:
        """Wait until Redis is asked and knows the log. Raises `DataError`."""
        self._wait(self._is_steady, "is not steady")

    def _is_steady(self) -> bool:
        behind = self.metric('desirepath_online_log{counter="behind"}')
        return behind == self.metric("desirepath_breaker_open") == 0

    def _wait(self, holds: Callable[[], bool], otherwise: str) -> None:
        until = time.monotonic() + STEADY_SECONDS
        while not holds():
            if time.monotonic() > until:
                raise DataError(f"the service {otherwise} after {STEADY_SECONDS:.0f} s")
            time.sleep(0.2)


def tell(shop: Shop, history: int) -> None:
    """Give the service a past of so many events, some of them to every worker.

    A worker that never heard anything has nothing in Redis that it could miss.

    Raises
    ------
    DataError
        An event is not accepted, or some worker hears none.
    """
    for start in range(0, history, BATCH):
        _tell(shop.service.url, range(start, min(history, start + BATCH)))
    until = time.monotonic() + STEADY_SECONDS
    for number in itertools.count(history):
        if shop.streams() >= shop.workers:
            return
        if time.monotonic() > until:
            raise DataError(f"a worker heard nothing for {STEADY_SECONDS:.0f} s")
        _tell(shop.service.url, [number])
        time.sleep(0.05)


def _tell(url: str, numbers: Sequence[int]) -> None:
    bodies = [_event(f"past-{n}", f"visitor-{n * 7 % VISITORS}", n) for n in numbers]
    body = b"[" + b",".join(bodies) + b"]"
    answer = httpx.post(f"{url}{TELL}", content=body, headers=HEADERS, timeout=60)
    if answer.status_code != 202 or answer.json()["accepted"] != len(bodies):
        raise DataError(f"the past was answered {answer.status_code}: {answer.text[:300]}")


@contextlib.contextmanager
def open_shop(
    folder: Path, workers: int, history: int, *, has_proxy: bool = False
) -> Iterator[Shop]:
    """A shop with a running A/B test, for the time of a ``with`` block."""
    root = folder / "shop"
    root.mkdir(parents=True)
    publish_shop(root, n=ITEMS)
    redis = started(folder / "redis")
    proxy = _proxy(redis.port) if has_proxy else None
    try:
        url = redis.url
        if proxy is not None and proxy.stdout is not None:
            url = f"redis://127.0.0.1:{int(proxy.stdout.readline())}/0"
        options = ["--dev", "--workers", str(workers), "--online-store", "redis"]
        env = {"DESIREPATH_REDIS_URL": url}
        with running(root, *options, env=env) as service:
            shop = Shop(root, redis, service, workers, proxy)
            with service.client() as client:
                make(client, EXPERIMENT)
            shop.wait_until_assigned()
            tell(shop, history)
            shop.wait_until_steady()
            yield shop
    finally:
        redis.stop()
        if proxy is not None:
            proxy.kill()
            proxy.communicate()


def questions(run: str) -> Iterator[Question]:
    """Visitors who look around: four lists asked for, then one event, and so on.

    Parameters
    ----------
    run
        In front of the ids of events.
    """
    for number in itertools.count():
        visitor = f"visitor-{number * 7 % VISITORS}"
        if number % EVENT_EVERY == EVENT_EVERY - 1:
            event = f"{run}-{number}"
            yield _question(TELL, _event(event, visitor, number), event)
        else:
            seen = [f"item-{number % ITEMS:02d}"]
            body = {"placement": "home", "visitor_id": visitor, "context": {"item_ids": seen}}
            yield _question(ASK, msgspec.json.encode(body))


def _question(path: str, body: bytes, name: str = "") -> Question:
    return Question(path, request_bytes("POST", path, HEADERS, body, "shop.example"), name)


def _event(name: str, visitor: str, number: int) -> bytes:
    event: dict[str, object] = {
        "event_id": name,
        "event_type": "view_item",
        "visitor_id": visitor,
        "ts": time.time_ns() // 1000,
        "items": [{"item_id": f"item-{number * 13 % ITEMS:02d}"}],
    }
    if number % 3 == 0:  # a third of the events are of somebody who is signed in
        event["user_id"] = f"user-of-{visitor}"
    return msgspec.json.encode(event)


def _proxy(port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.faults_parts.proxy", str(port)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=dict(os.environ))
