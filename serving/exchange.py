"""One request and its answer, as the code between edge and routes sees them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serving.lookup import Found
from serving.random_block import RandomBlock
from serving.security import NOBODY, Caller
from serving.state import ServiceState

SCOPE_KEY = "desirepath.exchange"
REQUEST_ID_BYTES = 16
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
_RANDOM = RandomBlock(os.urandom)


@dataclass(slots=True)
class Exchange:
    """What the edge found out about a request.

    Parameters
    ----------
    request_id
        The caller's ``X-Request-ID`` where that is acceptable, else a new one.
    found
        The shopper who asks, where they were looked up before the answer's turn.
    started
        Monotonic seconds at the first byte.
    route
        Template of the path, for metrics; never the path itself, which may hold an id.
    shares_turn
        The answer is told at the end of its turn, so that its record may be written with others.
    """

    state: ServiceState
    request_id: str
    caller: Caller = NOBODY
    route: str = "unmatched"
    found: Found | None = None
    started: float = field(default_factory=perf_counter)
    shares_turn: bool = False

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the first byte."""
        return (perf_counter() - self.started) * 1000


def exchange_of(request: Request) -> Exchange:
    """The exchange that the edge made for a request."""
    return cast(Exchange, request.scope[SCOPE_KEY])


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's request id, or a new one where it sent none that is acceptable."""
    for name, value in headers:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return _RANDOM(REQUEST_ID_BYTES).hex()


class JsonAnswer(Response):
    """A JSON answer, made in a fraction of the time that the general one takes."""

    media_type = "application/json"

    def __init__(self, content: bytes, status: int = 200) -> None:
        self.status_code = status
        self.background = None
        self.body = content
        self.raw_headers = [(b"content-length", b"%d" % len(content)), _JSON_TYPE]


_JSON_TYPE = (b"content-type", b"application/json")
_ENCODE = msgspec.json.Encoder().encode


def json_answer(
    answer: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A strict JSON answer."""
    response = JsonAnswer(_ENCODE(answer), status)
    for name, value in (headers or {}).items():
        response.headers[name] = value
    return response
