"""Callers that ask one question after the other and note everything that went wrong."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(slots=True)
class Tally:
    """What the callers met.

    Parameters
    ----------
    answers
        Bodies of the answers with status 200.
    failures
        Everything else, as text.
    """

    answers: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


def ask(connection: http.client.HTTPConnection, body: dict[str, Any], path: str) -> Any:
    """One question on a connection that may be kept."""
    headers = {"Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()), answer.will_close


@contextmanager
def load(
    url: str,
    callers: int = 4,
    body: dict[str, Any] | None = None,
    give_up: Callable[[], bool] = lambda: False,
    rest_seconds: float = 0.0,
) -> Iterator[Tally]:
    """Ask from several threads for the time of a ``with`` block.

    Parameters
    ----------
    give_up
        True: the service was told to stop, so nobody opens a new connection to it. What is on its
        way on an open one must still be answered.
    rest_seconds
        How long each waits after an answer. Without a rest what happens beside the load has next
        to no processor.
    """
    tally, stop = Tally(), threading.Event()
    asked = body or {"placement": "home", "limit": 5}
    threads = [
        threading.Thread(target=_call, args=(url, asked, tally, stop, give_up, rest_seconds))
        for _ in range(callers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _call(
    url: str,
    body: dict[str, Any],
    tally: Tally,
    stop: threading.Event,
    give_up: Callable[[], bool],
    rest_seconds: float,
) -> None:
    while not stop.is_set() and not give_up():
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        try:
            connection.connect()
        except OSError as error:
            tally.failures.append(f"connect: {error!r}")
            return
        try:
            will_close = False
            while not stop.is_set() and not will_close:
                status, answer, will_close = ask(connection, body, "/v1/recommendations")
                tally.statuses[status] += 1
                if status == 200:
                    tally.answers.append(answer)
                else:
                    tally.failures.append(f"{status}: {answer}")
                time.sleep(rest_seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            tally.failures.append(repr(error))
        finally:
            connection.close()
