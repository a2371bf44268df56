"""The edge: the one middleware between server and routes. Pure ASGI; everything passes it.

It names the request, asks the access table, counts and times, and turns every refusal and every
unexpected error into problem+json.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission import CLIENT_LEFT, admit, begun, complete, ended, failure, refusal
from serving.endpoint import Routes
from serving.errors import Problem
from serving.exchange import SCOPE_KEY, Exchange, JsonAnswer
from serving.security import AccessTable
from serving.state import ServiceState

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
        scope[SCOPE_KEY] = exchange = begun(state, scope["headers"])
        answer = _Answer(exchange, send)
        try:
            await self._admit(scope, receive, answer, exchange)
        except Problem as problem:
            await self._tell(refusal(problem, exchange), scope, receive, answer)
        except ClientDisconnect:
            answer.status = CLIENT_LEFT
        except Exception as error:  # noqa: BLE001 - it is logged
            await self._tell(failure(error, exchange), scope, receive, answer)
        finally:
            ended(exchange, answer.status)

    async def _admit(
        self, scope: Scope, receive: Receive, answer: _Answer, exchange: Exchange
    ) -> None:
        rule = self._access.match(scope["method"], scope["path"])
        admit(exchange, rule, scope["headers"])
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

    async def _tell(
        self, response: Response, scope: Scope, receive: Receive, answer: _Answer
    ) -> None:
        if not answer.status:  # else it has begun; nothing can be added to it
            await response(scope, receive, answer.send)


class _Answer:
    """Sends an answer, adds the headers that every answer has, and remembers its status."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self.status = 0
        self._exchange = exchange
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            complete(message["headers"], self._exchange)
        await self._send(message)

    async def send_whole(self, response: Response) -> None:
        """Send an answer that is there."""
        status, headers = response.status_code, response.raw_headers
        self.status = status
        complete(headers, self._exchange)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": response.body})
