"""How a route is declared: what it takes, what it answers, and who may use it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from serving.errors import PROBLEM_TYPE
from serving.exchange import Exchange
from serving.security import AccessTable, Rule

JSON = "application/json"
COMPONENT = "#/components/schemas/{name}"
# Every route may answer these.
COMMON_STATUSES = (401, 403, 413, 415, 500, 503)
Handler = Callable[[Request], Awaitable[Response]]
"""Takes a request to its answer."""
Prepare = Callable[[Exchange, bytes], Callable[[], Response]]
"""Reads the body of a whole question, which says that it is JSON; what it returns answers that in
its turn, without waiting for anybody."""
Routes = Mapping[tuple[str, str], Handler]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route.

    Parameters
    ----------
    scopes
        Any of them opens it; `serving.security.PUBLIC` for everybody.
    request
        Struct of the body, or a JSON schema where the body has no single struct.
    params
        Parameters as OpenAPI describes them.
    response
        Struct of the answer; None for plain text.
    text_type
        Media type of an answer without a struct.
    same_shape
        Further statuses that answer with `response`.
    problems
        Statuses beyond those that every route may answer.
    others
        Further statuses and what they answer with; None for no body.
    prepare
        Does the same as the handler with a question that arrived whole, see `serving.at_once`.
    """

    method: str
    path: str
    handler: Handler
    scopes: frozenset[str]
    summary: str
    response: type | None = None
    status: int = 200
    request: type | Mapping[str, object] | None = None
    media_types: tuple[str, ...] = (JSON,)
    params: tuple[Mapping[str, object], ...] = ()
    problems: tuple[int, ...] = ()
    takes_beacons: bool = False
    same_shape: tuple[int, ...] = ()
    others: tuple[tuple[int, type | None], ...] = ()
    text_type: str = "text/plain"
    prepare: Prepare | None = None

    @property
    def rule(self) -> Rule:
        """Who may use it."""
        return Rule(self.method, self.path, self.scopes, self.takes_beacons)


def mount(app: FastAPI, access: AccessTable, endpoints: Iterable[Endpoint]) -> Routes:
    """Add routes to an application, each with its rule.

    Returns
    -------
    mapping
        ``(method, path)`` → handler of the routes without a parameter in their path: the edge has
        found such a route when it has found its rule, and needs nobody else to find it again.
    """
    direct = {}
    for endpoint in endpoints:
        if "{" not in endpoint.path:
            direct[endpoint.method, endpoint.path] = endpoint.handler
        access.add(endpoint.rule)
        app.add_api_route(
            endpoint.path,
            endpoint.handler,
            methods=[endpoint.method],
            summary=endpoint.summary,
            description=endpoint.handler.__doc__,
            operation_id=endpoint.handler.__name__,
            status_code=endpoint.status,
            response_class=Response,
            responses=_responses(endpoint),
            openapi_extra=_operation(endpoint),
        )
    return direct


def prepared(endpoints: Iterable[Endpoint]) -> dict[str, tuple[Rule, Prepare]]:
    """Rule and preparation, by path, of those that take whole questions."""
    return {each.path: (each.rule, each.prepare) for each in endpoints if each.prepare}


def body_types(endpoints: Iterable[Endpoint]) -> list[type]:
    """The structs that endpoints take and answer, each once."""
    found: dict[type, None] = {}
    for endpoint in endpoints:
        others = (kind for _, kind in endpoint.others)
        for each in (endpoint.request, endpoint.response, *others):
            if isinstance(each, type):
                found[each] = None
    return list(found)


def _responses(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    described: dict[int | str, dict[str, Any]] = {}
    content = {endpoint.text_type: {"schema": {"type": "string"}}}
    if endpoint.response:
        content = {JSON: {"schema": _reference(endpoint.response.__name__)}}
    for status in (endpoint.status, *endpoint.same_shape):
        described[status] = {"description": HTTPStatus(status).phrase, "content": content}
    needed = COMMON_STATUSES if endpoint.scopes else (500,)
    for status in sorted({*needed, *endpoint.problems}):
        described[status] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": _reference("ProblemBody")}},
        }
    for status, kind in endpoint.others:
        described[status] = {"description": HTTPStatus(status).phrase}
        if kind is not None:
            described[status]["content"] = {JSON: {"schema": _reference(kind.__name__)}}
    return described


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {}
    operation["security"] = [{"bearer": []}, {"header": []}] if endpoint.scopes else []
    operation["x-scopes"] = sorted(endpoint.scopes)
    if endpoint.params:
        operation["parameters"] = list(endpoint.params)
    if endpoint.request is not None:
        schema = endpoint.request
        body = _reference(schema.__name__) if isinstance(schema, type) else dict(schema)
        content = {media_type: {"schema": body} for media_type in endpoint.media_types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": COMPONENT.format(name=name)}
