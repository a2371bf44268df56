"""Questions that arrived whole, answered in front of the framework.

Most questions come in one piece: head and body in one packet, on a connection that stays. These
need no coroutine, task or timer of their own. They wait for their turn side by side; what is
recorded of the answers of one turn goes to the log in one write, and then each leaves in one write
of its own. Whatever is not so plain goes through the framework, and gets the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from starlette.responses import Response

from serving.admission import CLIENT_LEFT, Headers, admit, begun, complete, ended, failure, refusal
from serving.endpoint import Prepare
from serving.errors import Problem
from serving.exchange import Exchange
from serving.limits import JSON_TYPES, check_content_type
from serving.one_write import head_of
from serving.security import Rule
from serving.state import ServiceState

# Who sends these wants more than an answer, or had more to send than was seen.
UNUSUAL: Final = frozenset({b"origin", b"transfer-encoding", b"expect", b"upgrade"})
_NOBODY_WAITS = asyncio.Event()


class Connection(Protocol):
    """What is needed of a connection of the server."""

    cycle: Any
    transport: asyncio.Transport

    def usual_headers(self) -> Headers:
        """Headers that the server gives to every answer."""
        ...

    def on_response_complete(self) -> None:
        """The answer is on its way, and the connection free for the next request."""
        ...


class AtOnce:
    """Takes whole questions, those that are answered without waiting for anybody else.

    Parameters
    ----------
    service
        The state of the running application.
    routes
        Rule and preparation by path; all are asked by POST.
    """

    def __init__(
        self, service: Callable[[], ServiceState], routes: Mapping[str, tuple[Rule, Prepare]]
    ) -> None:
        self._service = service
        self._routes = {path.encode(): route for path, route in routes.items()}

    def knows(self, method: bytes, target: bytes) -> bool:
        """Whether such requests may be taken."""
        return method == b"POST" and target in self._routes

    def take(self, connection: Connection, target: bytes, headers: Headers, body: bytes) -> bool:
        """Answer a question in its turn; False where that is left to the framework."""
        state = self._service()
        if state.lookup is not None or state.is_leaving:
            return False
        if not UNUSUAL.isdisjoint([name for name, _ in headers]):
            return False
        rule, prepare = self._routes[target]
        question = Question(connection, begun(state, headers))
        connection.cycle = question
        question.ask(rule, prepare, headers, body)
        return True


class Question:
    """One question and its turn. Where the server looks for its own cycle, it finds this."""

    __slots__ = (
        "_answering",
        "_connection",
        "_exchange",
        "_is_inside",
        "_response",
        "disconnected",
        "keep_alive",
        "message_event",
        "response_complete",
    )

    def __init__(self, connection: Connection, exchange: Exchange) -> None:
        self._connection, self._exchange = connection, exchange
        self._answering: Callable[[], Response]
        self._response: Response
        self._is_inside = self.response_complete = self.disconnected = False
        self.keep_alive, self.message_event = True, _NOBODY_WAITS

    def ask(self, rule: Rule, prepare: Prepare, headers: Headers, body: bytes) -> None:
        """Come in and wait; a question that may not be asked is refused without a turn."""
        exchange = self._exchange
        try:
            admit(exchange, rule, headers)
            exchange.state.requests.enter()
            self._is_inside = exchange.shares_turn = True
            check_content_type(headers, JSON_TYPES)
            self._answering = prepare(exchange, body)
            exchange.state.turns.queue(self)
        except Problem as problem:
            self._response = refusal(problem, exchange)
            self.tell()
        except Exception as error:  # noqa: BLE001 - it is logged
            self._response = failure(error, exchange)
            self.tell()

    def answer(self) -> None:
        """Compute the answer."""
        if self.disconnected:
            return
        try:
            self._response = self._answering()
        except Problem as problem:
            self._response = refusal(problem, self._exchange)
        except Exception as error:  # noqa: BLE001 - it is logged
            self._response = failure(error, self._exchange)

    def tell(self) -> None:
        """Hand the answer to the system."""
        exchange, connection = self._exchange, self._connection
        self.response_complete = True
        if self._is_inside:
            exchange.state.requests.leave()
        if self.disconnected or connection.transport.is_closing():
            ended(exchange, CLIENT_LEFT)
            return
        self._write(connection.transport)
        ended(exchange, self._response.status_code)
        connection.on_response_complete()

    def _write(self, transport: asyncio.Transport) -> None:
        response = self._response
        is_last = complete(response.raw_headers, self._exchange)
        if not self.keep_alive and not is_last:
            response.raw_headers.append((b"connection", b"close"))
            is_last = True
        headers = (*self._connection.usual_headers(), *response.raw_headers)
        transport.write(head_of(response.status_code, headers) + response.body)
        if is_last:
            transport.close()
