"""One connection of the server, with bounds that uvicorn leaves open.

Without them a caller may send headers for ever, in time and in size, say nothing at all, or keep
on sending a body that was refused, and each such connection stays.
"""

from __future__ import annotations

import asyncio

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.at_once import AtOnce
from serving.one_write import OneWrite

MAX_HEAD_BYTES = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request takes too long to arrive.

    An idle connection is closed after the keep-alive time, also when nothing was ever sent.

    Attributes
    ----------
    patience_seconds
        Time for the head of a request; and for what is left of a body that is already answered.
    is_unheard
        Nothing has come over this connection so far.
    at_once
        Answers questions that arrive whole; the rest, and all where it is None, uvicorn brings to
        the application.
    """

    patience_seconds = 10.0
    at_once: AtOnce | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self.is_unheard = True
        self._head_bytes = 0
        self._is_head_open = self._is_body_open = False
        self._deadline: asyncio.TimerHandle | None = None
        self._pieces: list[bytes] | None = None  # of a body that may turn out to be whole
        self._rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._relax()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is not complete by now has to hurry."""
        self.is_unheard = False
        super().data_received(data)
        if self._pieces is not None:
            self._go_on()
        if not self._is_head_open or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response(
                f"The head of the request is larger than {MAX_HEAD_BYTES} bytes."
            )
        elif self._deadline is None:
            self._hurry()

    def on_message_begin(self) -> None:
        """A request begins. What uvicorn makes of it waits until it is uvicorn's."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._is_head_open, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """The head is complete, the body begins."""
        self._relax()
        self._is_head_open, self._is_body_open = False, True
        self._pieces = []
        if not self._may_be_whole():
            self._pass_on()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._pieces is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._relax()
        self._is_body_open = False
        if self._pieces is not None:
            body = b"".join(self._pieces)
            if self.at_once and self.at_once.take(self, self.url, self.headers, body):
                self._pieces = None
                return
            self._pass_on()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is on its way; of what is left of the request nobody reads anything."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rest()
        if self._is_body_open and self.cycle.response_complete:
            self._hurry()

    def usual_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that the server gives to every answer."""
        return self.server_state.default_headers

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it has been idle for so long; else look again later."""
        self.timeout_keep_alive_task = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if not self._is_idle:
            return
        if left > 0:
            self._look_again(left)
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        # The timer runs on: one per request would cost more than one that looks when it rings.
        self._is_idle = False

    def _rest(self) -> None:
        self._is_idle, self._idle_since = True, self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_again(self.timeout_keep_alive)

    def _look_again(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _may_be_whole(self) -> bool:
        """Whether the request may be taken at once if its body is here already."""
        if self.at_once is None or not self.at_once.knows(self.parser.get_method(), self.url):
            return False
        cycle: RequestResponseCycle | None = self.cycle
        is_free = cycle is None or cycle.response_complete
        return is_free and self.parser.should_keep_alive() and not self.parser.should_upgrade()

    def _go_on(self) -> None:
        """There was no more of a body than this: uvicorn waits for the rest."""
        if self.transport.is_closing():  # it cannot be read
            self._pieces = None
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        """Leave the request to uvicorn, with what is known of its body."""
        pieces, self._pieces = self._pieces or [], None
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()
        self.headers = []  # what follows a chunked body is no header of the request
        for piece in pieces:
            super().on_body(piece)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Answer in one write."""
        send = OneWrite(cycle).send
        super()._start_asgi_task(cycle, lambda scope, receive, _: app(scope, receive, send))

    def _hurry(self) -> None:
        self._relax()
        self._deadline = self.loop.call_later(self.patience_seconds, self.transport.close)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def bounded_protocol(
    patience_seconds: float, at_once: AtOnce | None = None
) -> type[BoundedProtocol]:
    """The protocol with a patience of its own; the server makes one object per connection."""
    own = {"patience_seconds": patience_seconds, "at_once": at_once}
    return type("BoundedProtocol", (BoundedProtocol,), own)
