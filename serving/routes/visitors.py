"""What is known about a visitor."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response

from recommender.errors import StorageError
from serving.endpoint import Endpoint
from serving.errors import Problem
from serving.exchange import exchange_of, json_answer
from serving.schemas import MAX_ID_BYTES, VisitorResponse
from serving.security import ADMIN
from serving.visitor_view import moment_of, visitor_response

PREFIX = b"/v1/visitors/"


async def visitor(request: Request) -> Response:
    """What is known about a visitor, merged with the user they were identified as.

    An unknown visitor gets the same shape, empty.
    """
    visitor_id = _visitor_id(request)
    state = exchange_of(request).state
    at = moment_of(state.clock())
    try:
        known = state.visitors.get(visitor_id, None, at)
    except StorageError as error:
        raise Problem(503, "store_failed", "The online store failed.", retry_after=1) from error
    return json_answer(visitor_response(visitor_id, known))


def _visitor_id(request: Request) -> str:
    # The server's own decoding of the path replaces bytes that are not UTF-8; ids are byte-exact.
    raw: bytes = request.scope["raw_path"]
    encoded = unquote_to_bytes(raw.partition(b"?")[0])
    root = request.scope.get("root_path", "").encode()
    encoded = encoded.removeprefix(root).removeprefix(PREFIX)
    if not 1 <= len(encoded) <= MAX_ID_BYTES:
        detail = f"visitor id of {len(encoded)} bytes; accepted: 1 to {MAX_ID_BYTES}."
        raise Problem(422, "invalid_value", detail)
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "invalid_utf8", "The visitor id is not UTF-8.") from error


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/visitors/{visitor_id:path}",
        visitor,
        frozenset({ADMIN}),
        "What is known about a visitor",
        params=(
            {
                "name": "visitor_id",
                "in": "path",
                "required": True,
                "description": "Percent-encoded.",
                "schema": {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES},
            },
        ),
        response=VisitorResponse,
        problems=(400, 422),
    ),
)
