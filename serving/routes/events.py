"""Tell what happened: events are on disk and in the visitors' states before the answer leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from feature_store.dialects import normalise, split_batch
from feature_store.events import InteractionEvent
from feature_store.verdicts import ACCEPTED, DUPLICATE, Verdict
from recommender.errors import InvalidEventError
from serving.endpoint import JSON, Endpoint
from serving.errors import Problem
from serving.event_body import EventBody, parse_events
from serving.exchange import exchange_of, json_answer
from serving.expectation import count_expectation
from serving.limits import EVENT_TYPES, check_content_type
from serving.reading import json_problem, whole_body
from serving.schemas import EventsResponse
from serving.security import WRITE
from serving.state import ServiceState
from serving.stored import authorise_beacon, counted, refused, stored
from serving.strict_json import Piece, StrictJsonError

# Up to this size a body is read on the event loop; a larger one would hold up everybody else.
INLINE_BYTES = 16 * 1024
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Batch:
    """Events on their way to the log, in the order sent.

    Parameters
    ----------
    events
        Each is an event or the reason why it is none.
    raws
        The bytes of each, for quarantine.
    positions
        Place of each in what was sent; the events of one foreign envelope inside a list share one.
    """

    events: list[InteractionEvent | InvalidEventError] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)

    def add(self, event: InteractionEvent | InvalidEventError, raw: bytes, position: int) -> None:
        """Append one event."""
        self.events.append(event)
        self.raws.append(raw)
        self.positions.append(position)


async def send_events(request: Request) -> Response:
    """Store events: one object, a list, or `{"events": [...]}`, in any of the accepted dialects.

    Accepted events are on disk and count in the visitor's very next answer. One bad event never
    sinks its batch. Events may be sent again: a known `event_id` is counted once.
    """
    check_content_type(request.scope["headers"], EVENT_TYPES)
    exchange = exchange_of(request)
    state = exchange.state
    body = await whole_body(request)
    parsed = await _off_loop(body, lambda: _parse(body, state.settings.max_events))
    authorise_beacon(exchange, parsed.api_key)
    received_at = state.clock()
    batch = await _off_loop(body, lambda: normalised(parsed.pieces, received_at))
    if len(batch.events) > state.settings.max_events:
        raise too_many(state.settings.max_events)
    verdicts = await stored(state, batch.events, batch.raws) if batch.events else []
    await count_expectation(state, batch.events, verdicts)
    return json_answer(_report(state, verdicts, batch.positions), 202)


def normalised(pieces: list[Piece], received_at: int) -> Batch:
    """The canonical events of a body; foreign envelopes are opened."""
    batch = Batch()
    for index, piece in enumerate(pieces):
        if isinstance(piece.value, StrictJsonError):
            batch.add(InvalidEventError(piece.value.code, piece.value.detail), piece.raw, index)
            continue
        parts = split_batch(piece.value)
        is_whole = len(parts) == 1 and parts[0] is piece.value
        for place, part in enumerate(parts):
            raw = piece.raw if is_whole else msgspec.json.encode(part)
            batch.add(_event(part, received_at), raw, index if len(pieces) > 1 else place)
    return batch


def too_many(limit: int) -> Problem:
    """The refusal of a batch that is too long."""
    return Problem(413, "too_many_events", f"more than {limit} events in one request")


def _event(raw: object, received_at: int) -> InteractionEvent | InvalidEventError:
    try:
        return normalise(raw, received_at)
    except InvalidEventError as error:
        return error


def _parse(body: bytes, max_events: int) -> EventBody:
    try:
        return parse_events(body, max_events)
    except StrictJsonError as error:
        raise json_problem(error) from error


def _report(state: ServiceState, verdicts: list[Verdict], positions: list[int]) -> EventsResponse:
    counts, rejected = counted(verdicts, state.metrics.events), refused(verdicts, positions)
    for each in rejected:
        state.metrics.events_rejected.labels(each.code).inc()
    return EventsResponse(counts[ACCEPTED], counts[DUPLICATE], rejected)


async def _off_loop(body: bytes, work: Callable[[], Result]) -> Result:
    if len(body) <= INLINE_BYTES:
        return work()
    return await asyncio.to_thread(work)


EVENT_SCHEMA = {
    "type": "object",
    "description": "One event, in our own form or that of GA4, Segment, Snowplow, Google Retail "
    "or Personalize; see docs/events.md. Events that are not acceptable are named in the answer.",
    "examples": [
        {
            "event_id": "8b1f0c52",
            "event_type": "view_item",
            "ts": "2026-01-31T10:15:00Z",
            "visitor_id": "v-1",
            "items": [{"item_id": "sku-1", "price": 9.5}],
        }
    ],
}
BODY_SCHEMA = {
    "anyOf": [
        EVENT_SCHEMA,
        {"type": "array", "maxItems": 1000, "items": EVENT_SCHEMA},
        {
            "type": "object",
            "properties": {
                "events": {"type": "array", "maxItems": 1000, "items": EVENT_SCHEMA},
                "api_key": {
                    "type": "string",
                    "description": "For beacons, which cannot send headers.",
                },
            },
            "required": ["events"],
            "additionalProperties": False,
        },
    ]
}
ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/events",
        send_events,
        frozenset({WRITE}),
        "Send events",
        request=BODY_SCHEMA,
        media_types=(JSON, "text/plain"),
        response=EventsResponse,
        status=202,
        problems=(400, 408, 422, 507),
        takes_beacons=True,
    ),
)
