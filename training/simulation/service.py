"""Lets the shop run against a service: events are posted, recommendations asked for, over HTTP."""

from __future__ import annotations

import http.client
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import msgspec

from recommender.errors import InvalidInputError, StorageError
from recommender.terms import NAVIGATION_KINDS
from training.simulation.encode import Encoder
from training.simulation.recommenders import PageContext, Suggestion
from training.simulation.recorder import EventChunk
from training.simulation.ways import SuggestedWay

LARGEST_BATCH: Final = 1000
"""Events in one request; the service accepts no more."""
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
PLACEMENTS: Final = {"search": "category"}
"""Placements under which pages ask, where the service's differs from the page's own."""
TIMEOUT_SECONDS: Final = 30.0
_MOST_BYTES = 900_000
_JSON = "application/json"


class _Item(msgspec.Struct):
    rank: int = 0
    kind: str = "item"
    item_id: str | None = None
    category: str | None = None
    query: str | None = None


class _Answer(msgspec.Struct):
    recommendation_id: str
    items: list[_Item]


class _Rejected(msgspec.Struct):
    code: str


class _Receipt(msgspec.Struct):
    accepted: int
    duplicates: int
    rejected: list[_Rejected]


@dataclass(slots=True)
class Connection:
    """One kept-alive connection to a service on this machine.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:8080``.
    api_key
        Sent as ``X-API-Key``; None for a service that wants none.
    """

    url: str
    api_key: str | None = None
    _http: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http" or parts.hostname not in LOOPBACK or parts.path not in {"", "/"}:
            raise InvalidInputError(
                f"service {self.url!r}; accepted: http://127.0.0.1:PORT, on this machine only"
            )
        self._http = http.client.HTTPConnection(
            parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS
        )

    def post(self, path: str, body: bytes) -> bytes:
        """Send JSON and give the answer.

        Raises
        ------
        StorageError
            The service cannot be reached, or refuses the request as a whole.
        """
        try:
            status, answer = self._send(path, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The service closed an idle connection. Events have ids, so nothing counts twice.
            self._http.close()
            status, answer = self._again(path, body)
        except OSError as error:
            raise StorageError(f"service {self.url} cannot be reached: {error}") from error
        if status >= 300:
            raise StorageError(
                f"{self.url}{path} answered {status}: {answer[:300].decode('utf-8', 'replace')}"
            )
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _again(self, path: str, body: bytes) -> tuple[int, bytes]:
        try:
            return self._send(path, body)
        except (OSError, http.client.HTTPException) as error:
            raise StorageError(f"service {self.url} cannot be reached: {error}") from error

    def _send(self, path: str, body: bytes) -> tuple[int, bytes]:
        headers = {"Content-Type": _JSON}
        if self.api_key is not None:
            headers["X-API-Key"] = self.api_key
        self._http.request("POST", path, body, headers)
        response = self._http.getresponse()
        return response.status, response.read()


@dataclass(slots=True)
class EventSender:
    """Posts events in batches, in the order of happening within each visit.

    Attributes
    ----------
    accepted, duplicates
        What the service said.
    rejected
        Number of rejected events by code.
    """

    connection: Connection
    encoder: Encoder | None = None
    accepted: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    _waiting: list[bytes] = field(default_factory=list)

    def __call__(self, chunk: EventChunk) -> None:
        """Take events; they go out in full batches, the rest with `flush`."""
        if self.encoder is None:
            raise InvalidInputError("the sender has no encoder yet; set EventSender.encoder")
        self._waiting.extend(self.encoder.json(chunk))

    def flush(self) -> None:
        """Send all that waits."""
        batch: list[bytes] = []
        size = 0
        for line in self._waiting:
            if len(batch) == LARGEST_BATCH or size + len(line) > _MOST_BYTES:
                self._post(batch)
                batch, size = [], 0
            batch.append(line)
            size += len(line) + 1
        if batch:
            self._post(batch)
        self._waiting = []

    def _post(self, batch: list[bytes]) -> None:
        answer = self.connection.post("/v1/events", b"[" + b",".join(batch) + b"]")
        receipt = msgspec.json.decode(answer, type=_Receipt)
        self.accepted += receipt.accepted
        self.duplicates += receipt.duplicates
        self.rejected.update(one.code for one in receipt.rejected)


@dataclass(slots=True)
class ServiceRecommender:
    """Asks the service for every list, after all events before it were delivered.

    Parameters
    ----------
    names_limit
        Whether it says how many places there are; else lists are as long as their placement's.

    Attributes
    ----------
    asked
        Number of answers.
    """

    connection: Connection
    sender: EventSender
    asked: int = 0
    names_limit: bool = True

    def __call__(self, context: PageContext) -> Suggestion:
        """Give what the service answers."""
        self.sender.flush()
        request = request_of(context)
        if not self.names_limit:
            del request["limit"]
        body = msgspec.json.encode(request)
        answer = msgspec.json.decode(
            self.connection.post("/v1/recommendations", body), type=_Answer
        )
        self.asked += 1
        item_ids = [item.item_id for item in answer.items if item.item_id is not None]
        ways = [
            SuggestedWay(item.kind, item.category or item.query, item.rank)
            for item in answer.items
            if item.kind in NAVIGATION_KINDS
        ]
        return Suggestion(item_ids, answer.recommendation_id, ways[0] if ways else None)


def request_of(context: PageContext) -> dict[str, object]:
    """Give the body of a recommendation request; what a page does not have is left out."""
    page = {
        "page_type": context.placement,
        "item_ids": [context.item_id] if context.item_id else None,
        "cart_item_ids": list(context.cart_items) or None,
        "query": context.search_term,
        "category": context.category,
        "device": context.device,
    }
    request = {
        "placement": PLACEMENTS.get(context.placement, context.placement),
        "visitor_id": context.visitor_id,
        "user_id": context.user_id,
        "session_id": context.session_id,
        "limit": context.limit,
        "context": {name: value for name, value in page.items() if value is not None},
    }
    return {name: value for name, value in request.items() if value is not None}
