"""The edge: the one middleware between server and routes. Pure ASGI; everything passes it.

It names the request, asks the access table, counts and times, and turns every refusal and every
unexpected error into problem+json.
"""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.endpoint import Routes
from serving.errors import PROBLEM_TYPE, Problem, internal_problem
from serving.exchange import SCOPE_KEY, Exchange, JsonAnswer, request_id_of
from serving.limits import check_headers
from serving.security import NOBODY, AccessTable, Caller, Rule, authorise, presented_key
from serving.state import ServiceState

logger = logging.getLogger(__name__)
CLIENT_LEFT = 499
HEALTH_PREFIX = "/health/"
# Answers that are there as a whole: the edge sends them itself.
WHOLE = (JsonAnswer, Response)


class Edge:
    """Wraps the application.

    Parameters
    ----------
    access
        Who may do what.
    direct
        Routes that are answered from here, without the framework finding them once more.
    """

    def __init__(self, app: ASGIApp, access: AccessTable, direct: Routes) -> None:
        self._app = app
        self._access = access
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:  # no websocket is spoken here
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: ServiceState = scope["app"].service
        exchange = Exchange(state, request_id_of(scope))
        scope[SCOPE_KEY] = exchange
        answer = _Answer(exchange, send)
        state.metrics.under_way += 1
        try:
            await self._admit(scope, receive, answer, exchange)
        except Problem as problem:
            await self._refuse(problem, scope, receive, answer)
        except ClientDisconnect:
            answer.status = CLIENT_LEFT
        except Exception:
            logger.exception("request failed", extra={"request_id": exchange.request_id})
            await self._refuse(internal_problem(), scope, receive, answer)
        finally:
            state.metrics.under_way -= 1
            state.metrics.answered(exchange.route, answer.status, exchange.elapsed_ms / 1000)

    async def _admit(
        self, scope: Scope, receive: Receive, answer: _Answer, exchange: Exchange
    ) -> None:
        rule = self._access.match(scope["method"], scope["path"])
        exchange.route = rule.template
        exchange.caller = _caller(rule, scope, exchange.state)
        check_headers(scope["headers"], exchange.state.settings.max_body_bytes)
        if rule.template.startswith(HEALTH_PREFIX):  # health is answered under any load
            await self._pass_on(scope, receive, answer)
            return
        exchange.state.requests.enter()
        try:
            await self._pass_on(scope, receive, answer)
        finally:
            exchange.state.requests.leave()

    async def _pass_on(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        handler = self._direct.get((scope["method"], scope["path"]))
        if handler is None:
            await self._app(scope, receive, answer.send)
            return
        response = await handler(Request(scope, receive))
        if response.background is None and type(response) in WHOLE:
            await answer.send_whole(response)
        else:
            await response(scope, receive, answer.send)

    async def _refuse(
        self, problem: Problem, scope: Scope, receive: Receive, answer: _Answer
    ) -> None:
        answer.exchange.state.metrics.problems.labels(problem.code).inc()
        if answer.status:
            return  # the answer has begun; nothing can be added to it
        response = problem_response(problem, answer.exchange)
        await response(scope, receive, answer.send)


class _Answer:
    """Sends an answer, adds the headers that every answer has, and remembers its status."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self.exchange = exchange
        self.status = 0
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._complete(message["headers"])
        await self._send(message)

    async def send_whole(self, response: Response) -> None:
        """Send an answer that is there."""
        status, headers = response.status_code, response.raw_headers
        self.status = status
        self._complete(headers)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": response.body})

    def _complete(self, headers: list[tuple[bytes, bytes]]) -> None:
        state = self.exchange.state
        is_cached = False
        for name, _ in headers:
            is_cached |= name == b"cache-control"
        headers.append((b"x-request-id", self.exchange.request_id.encode()))
        headers.append((b"x-content-type-options", b"nosniff"))
        if not is_cached:
            headers.append((b"cache-control", b"no-store"))
        if state.is_draining or state.is_retiring:
            headers.append((b"connection", b"close"))


def problem_response(problem: Problem, exchange: Exchange) -> Response:
    """The answer to a refused request."""
    body = problem.body(exchange.request_id)
    return Response(body, problem.status, problem.headers(), media_type=PROBLEM_TYPE)


def _caller(rule: Rule, scope: Scope, state: ServiceState) -> Caller:
    key = presented_key(scope["headers"])
    if key is None and rule.takes_beacons and _is_plain_text(scope):
        return state.keys.find(None) or NOBODY  # the route asks for the key in the body
    return authorise(state.keys.find(key), rule.scopes)


def _is_plain_text(scope: Scope) -> bool:
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    return bool(types) and types[0].strip().lower().startswith(b"text/plain")
