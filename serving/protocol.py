"""One connection of the server, with bounds that uvicorn leaves open.

Without them a caller may send headers for ever, in time and in size, say nothing at all, or keep
on sending a body that was refused, and each such connection stays.
"""

from __future__ import annotations

import asyncio

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.one_write import OneWrite

MAX_HEAD_BYTES = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request takes too long to arrive.

    An idle connection is closed after the keep-alive time, also when nothing was ever sent.

    Attributes
    ----------
    patience_seconds
        Time for the head of a request; and for what is left of a body that is already answered.
    """

    patience_seconds = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._is_head_open = self._is_body_open = False
        self._deadline: asyncio.TimerHandle | None = None
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._relax()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is not complete by now has to hurry."""
        super().data_received(data)
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
        """A request begins."""
        super().on_message_begin()
        self._is_head_open, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """The head is complete, the body begins."""
        self._relax()
        self._is_head_open, self._is_body_open = False, True
        super().on_headers_complete()
        self.headers = []  # what follows a chunked body is no header of the request

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._relax()
        self._is_body_open = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is on its way; of what is left of the request nobody reads anything."""
        super().on_response_complete()
        is_answered = self.cycle.response_complete
        if self._is_body_open and is_answered and not self.transport.is_closing():
            self._hurry()

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


def bounded_protocol(patience_seconds: float) -> type[BoundedProtocol]:
    """The protocol with a patience of its own; the server makes one object per connection."""
    return type("BoundedProtocol", (BoundedProtocol,), {"patience_seconds": patience_seconds})
