"""An answer handed to the system at once: head and body in one piece.

uvicorn hands over the head by itself, which costs a system call and a packet for each answer, and
looks into every header for characters that may not be there.
"""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

LENGTH = b"content-length"
# Headers that decide about the connection: these answers are uvicorn's.
_CONNECTION = frozenset({b"connection", b"transfer-encoding"})


class OneWrite:
    """Takes the messages of one answer; what is not plain it leaves to uvicorn.

    Parameters
    ----------
    cycle
        The request and its answer, as uvicorn sees them.
    """

    __slots__ = ("_cycle", "_start")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._start: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        """Take one message. The head waits for the first piece of the body."""
        if message["type"] == "http.response.start" and self._start is None:
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if message["type"] == "http.response.body" and self._is_written(start, message):
                return
            await self._cycle.send(start)
        await self._cycle.send(message)

    def _is_written(self, start: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """Whether it was an answer in one piece, on a connection that goes on, and is written."""
        cycle, body = self._cycle, message.get("body", b"")
        if cycle.flow.write_paused or cycle.disconnected or cycle.response_started:
            return False
        if message.get("more_body", False) or cycle.scope["method"] == "HEAD":
            return False
        if cycle.access_log or not cycle.keep_alive:
            return False
        headers = (*cycle.default_headers, *start.get("headers", ()))
        if not _is_plain(headers, len(body)):
            return False
        try:
            head = head_of(start["status"], headers)
        except ValueError:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(head + body)
        cycle.message_event.set()
        cycle.on_response()
        return True


def head_of(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer. Raises `ValueError` where a header would end its line."""
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    head = b"".join(parts)
    lines = len(parts) // 4 + 2
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise ValueError("a header would end its line")
    return head


def _is_plain(headers: Iterable[tuple[bytes, bytes]], length: int) -> bool:
    """Whether an answer of this length says how long it is, and nothing of the connection."""
    said = b""
    for name, value in headers:
        if name == LENGTH:
            said = value
        elif name in _CONNECTION:
            return False
    return said == b"%d" % length
