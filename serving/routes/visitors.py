"""What is known about a visitor, and what they wish."""

from __future__ import annotations

import asyncio
from datetime import datetime
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from feature_store.events import InteractionEvent
from feature_store.online.state import VisitorState
from feature_store.verdicts import ACCEPTED
from recommender.discretion import sensitive_paths
from recommender.errors import StorageError
from recommender.terms import PREFERENCES
from serving.endpoint import Endpoint
from serving.errors import Problem, storage_problem
from serving.exchange import Exchange, exchange_of, json_answer
from serving.openapi import query_parameters
from serving.reading import params_of, read_struct
from serving.schemas import (
    MAX_ID_BYTES,
    ErasureReceipt,
    KnownPreferences,
    Preferences,
    VisitorParams,
    VisitorResponse,
)
from serving.security import ADMIN, WRITE
from serving.shopper import shopper
from serving.visitor_view import moment_of, preferences_of, rfc3339, visitor_response

PREFIX, PREFERENCES_SUFFIX = b"/v1/visitors/", b"/preferences"
EVENT_OF = {level: event_type for event_type, level in PREFERENCES.items()}


async def visitor(request: Request) -> Response:
    """What is known about a visitor, merged with the user they were identified as.

    An unknown visitor gets the same shape, empty. With `format=json` the answer is a file to keep.
    """
    params = params_of(request, VisitorParams)
    visitor_id = _visitor_id(request)
    exchange = exchange_of(request)
    moment = exchange.state.clock()
    known = await _known(exchange, visitor_id, moment_of(moment))
    headers = {"Content-Disposition": 'attachment; filename="visitor.json"'}
    bundle = exchange.state.models.current.bundle
    sensitive = sensitive_paths(exchange.state.placements.values())
    answer = visitor_response(visitor_id, known, bundle, moment, sensitive)
    return json_answer(answer, headers=headers if params.format else None)


async def set_preferences(request: Request) -> Response:
    """Remember how much of a shopper may take part in answers: `off`, `light` or `full`.

    It is on disk, and obeyed from the very next answer on, before this one leaves. It follows the
    shopper over devices once they are identified; what was said last holds.
    """
    wished = await read_struct(request, Preferences)
    visitor_id = _visitor_id(request, PREFERENCES_SUFFIX)
    exchange = exchange_of(request)
    event = InteractionEvent(
        event_id=exchange.state.new_id(),
        event_type=EVENT_OF[wished.personalize],
        ts=exchange.state.clock(),
        visitor_id=visitor_id,
    )
    await _stored(exchange, event)
    known = await _known(exchange, visitor_id, moment_of(exchange.state.clock()))
    if known.preference is None or known.preference.ts < event.ts:
        raise _store_failed()  # it is in the log, but not yet where answers look
    return json_answer(preferences_of(known))


async def erase_visitor(request: Request) -> Response:
    """Forget a visitor, the user they were identified as, and all devices of that user.

    It is on disk before the answer, and the very next answer is that of a stranger: states, links
    and preferences are gone, what was done until now is never learnt from or read again, and what
    arrives late is refused. Erasing again, or somebody unknown, gives the same answer.
    """
    visitor_id = _visitor_id(request)
    exchange = exchange_of(request)
    if exchange.caller.is_browser:
        detail = "Erasing cannot be undone, so it is not for browser keys; ask from a server."
        raise Problem(403, "not_for_browsers", detail)
    try:
        erased = await asyncio.to_thread(exchange.state.eraser.erase, visitor_id)
    except StorageError as error:
        raise storage_problem(error) from error
    return json_answer(ErasureReceipt(visitor_id, rfc3339(erased.at)))


async def _stored(exchange: Exchange, event: InteractionEvent) -> None:
    """Wait until an event is durable and applied. Raises `Problem`."""
    try:
        future = exchange.state.intake.submit([event], [b""])
        (verdict,) = await asyncio.wrap_future(future)
    except StorageError as error:
        raise storage_problem(error) from error
    if verdict.status != ACCEPTED:
        raise Problem(422, "invalid_value", f"{verdict.detail}")


async def _known(exchange: Exchange, visitor_id: str, at: datetime) -> VisitorState:
    try:
        return await shopper(exchange.state, visitor_id, None, at)
    except StorageError as error:
        raise _store_failed() from error


def _store_failed() -> Problem:
    return Problem(503, "store_failed", "The online store failed.", retry_after=1)


def _visitor_id(request: Request, suffix: bytes = b"") -> str:
    # The server's own decoding of the path replaces bytes that are not UTF-8; ids are byte-exact.
    raw: bytes = request.scope["raw_path"].partition(b"?")[0]
    # A slash within an id is percent-encoded; a plain one leads to what is below the visitor.
    if raw.endswith(PREFERENCES_SUFFIX) != bool(suffix):
        accepted = "GET" if suffix else "PUT"
        raise Problem(405, "method_not_allowed", f"Accepted here: {accepted}.")
    encoded = unquote_to_bytes(raw.removesuffix(suffix))
    root = request.scope.get("root_path", "").encode()
    encoded = encoded.removeprefix(root).removeprefix(PREFIX)
    if not 1 <= len(encoded) <= MAX_ID_BYTES:
        detail = f"visitor id of {len(encoded)} bytes; accepted: 1 to {MAX_ID_BYTES}."
        raise Problem(422, "invalid_value", detail)
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "invalid_utf8", "The visitor id is not UTF-8.") from error


_ID_PARAMETER = {
    "name": "visitor_id",
    "in": "path",
    "required": True,
    "description": "Percent-encoded.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES},
}
ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/visitors/{visitor_id:path}",
        visitor,
        frozenset({ADMIN}),
        "What is known about a visitor",
        params=(_ID_PARAMETER, *query_parameters(VisitorParams)),
        response=VisitorResponse,
        problems=(400, 422),
    ),
    Endpoint(
        "DELETE",
        "/v1/visitors/{visitor_id:path}",
        erase_visitor,
        frozenset({WRITE, ADMIN}),
        "Forget a visitor",
        params=(_ID_PARAMETER,),
        response=ErasureReceipt,
        problems=(400, 422, 507),
    ),
    Endpoint(
        "PUT",
        "/v1/visitors/{visitor_id:path}/preferences",
        set_preferences,
        frozenset({WRITE, ADMIN}),
        "Remember what a shopper wishes",
        request=Preferences,
        params=(_ID_PARAMETER,),
        response=KnownPreferences,
        problems=(400, 408, 422, 507),
    ),
)
