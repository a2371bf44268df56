"""The simulated shop's shoppers against a running service, over several connections at once.

What happens in the shop happens now: events carry the time at which they are sent, so that answers
and what follows them stand in the log in the order of their moments, as in a shop that is open.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

import msgspec
import numpy as np

from benchmarks.experiment_parts.models import LoopShop
from training.simulation.encode import Encoder
from training.simulation.recommenders import PageContext, Suggestion
from training.simulation.recorder import EventChunk
from training.simulation.service import Connection, EventSender, ServiceRecommender


@dataclass(slots=True)
class Visits:
    """What came of a while of traffic.

    Parameters
    ----------
    answers, empty
        Lists that were asked for, and those of them without an item.
    rejected
        Events that the service refused, by code.
    """

    answers: int = 0
    empty: int = 0
    visits: int = 0
    events: int = 0
    seconds: float = 0.0
    rejected: dict[str, int] = field(default_factory=dict)


class LiveShoppers:
    """Listener and recommender of one shop.

    Parameters
    ----------
    connections
        Questions are spread over them, so that all workers answer.
    """

    def __init__(self, running: LoopShop, connections: Sequence[Connection]) -> None:
        shop = running.shop
        self._sender = EventSender(connections[0], Encoder(shop.catalogue, shop.identity))
        self._idle: SimpleQueue[ServiceRecommender] = SimpleQueue()
        for each in connections:
            # The arms say how long a list is.
            self._idle.put(ServiceRecommender(each, EventSender(each), names_limit=False))
        self._pool = ThreadPoolExecutor(len(connections))
        self._last = 0
        self.tally = Visits()

    def hear(self, chunk: EventChunk) -> None:
        """Take events; each happens now, one after another."""
        first = max(self._last + 1, time.time_ns() // 1000)
        self._last = first + len(chunk) - 1
        self.tally.events += len(chunk)
        self._sender(replace(chunk, ts=np.arange(first, self._last + 1, dtype=np.int64)))

    def many(self, contexts: Sequence[PageContext]) -> list[Suggestion]:
        """Ask for all lists, after all events before them were delivered."""
        self._sender.flush()
        answers = list(self._pool.map(self._ask, contexts))
        self.tally.answers += len(answers)
        self.tally.empty += sum(not answer.item_ids for answer in answers)
        return answers

    def __call__(self, context: PageContext) -> Suggestion:
        """Ask for one list."""
        return self.many([context])[0]

    def close(self) -> Visits:
        """Deliver what waits; gives the tally."""
        self._sender.flush()
        self._pool.shutdown()
        self.tally.rejected = dict(self._sender.rejected)
        return self.tally

    def _ask(self, context: PageContext) -> Suggestion:
        asking = self._idle.get()
        try:
            return asking(context)
        finally:
            self._idle.put(asking)


def run_days(running: LoopShop, days: int, url: str, key: str, connections: int = 8) -> Visits:
    """Let the shop's shoppers come for some days, answered by the service."""
    began = time.monotonic()
    lines = [Connection(url, key) for _ in range(connections)]
    live = LiveShoppers(running, lines)
    running.listeners.append(live.hear)
    running.shop.display.recommender = live
    for _ in range(days):
        live.tally.visits += len(next(running.days).truth)
    running.listeners.remove(live.hear)
    running.shop.display.recommender = None
    tally = live.close()
    for each in lines:
        each.close()
    tally.seconds = time.monotonic() - began
    return tally


def last_word(url: str, key: str) -> None:
    """One event of a stranger: up to this moment everything is known."""
    connection = Connection(url, key)
    event = {
        "event_id": f"last-{time.time_ns()}",
        "event_type": "view_item_list",
        "visitor_id": "who-closes-the-shop",
        "ts": time.time_ns() // 1000,
        "items": [{"item_id": "nothing"}],
    }
    connection.post("/v1/events", msgspec.json.encode([event]))
    connection.close()
