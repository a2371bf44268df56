"""How much one request may take: kind and size of its body, patience, load."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from serving.begun import Begun
from serving.errors import OVERLOAD_RETRY_SECONDS, Problem

JSON_TYPES = frozenset({"application/json"})
EVENT_TYPES = JSON_TYPES | {"text/plain"}


def check_headers(headers: Iterable[tuple[bytes, bytes]], max_body_bytes: int) -> None:
    """Refuse a body by its headers, before a byte of it is read. Raises `Problem` 413 or 415."""
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() != b"identity":
            shown = value[:40].decode("latin-1")
            detail = f"Content-Encoding {shown!r}; bodies are accepted uncompressed."
            raise Problem(415, "content_encoding_refused", detail)
        if name == b"content-length" and value.isdigit() and int(value[:20]) > max_body_bytes:
            raise too_large(max_body_bytes)


def _content_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"content-type":
            return str(value, "latin-1")
    return ""


def too_large(max_body_bytes: int) -> Problem:
    """The refusal of a body that is too large."""
    return Problem(413, "body_too_large", f"The body is larger than {max_body_bytes} bytes.")


def check_content_type(headers: Iterable[tuple[bytes, bytes]], accepted: Collection[str]) -> str:
    """Media type of the body. Raises `Problem` 415 unless it is accepted, in UTF-8."""
    header = _content_type(headers)
    if header in accepted:  # as nearly all send it
        return header
    media_type, _, parameters = header.partition(";")
    media_type = media_type.strip().lower()
    if media_type not in accepted:
        names = " or ".join(sorted(accepted))
        detail = f"Content-Type {header[:80]!r}; accepted: {names}."
        raise Problem(415, "content_type_refused", detail)
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().lower().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            detail = f"charset {value[:40]!r}; accepted: utf-8."
            raise Problem(415, "charset_refused", detail)
    return media_type


async def read_body(request: Request, timeout_seconds: float, max_bytes: int) -> bytes:
    """The whole body. Its size is limited while it streams.

    Raises
    ------
    Problem
        408: the caller is too slow; 413: there is too much of it.
    ClientDisconnect
        The caller left.
    """
    first: Begun[Message] = Begun(request.receive())  # type: ignore[arg-type]
    if first.result is not None and not first.result.get("more_body", False):
        return await _chunks(first, request, max_bytes)  # it is all there: no timer is needed
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _chunks(first, request, max_bytes)
    except TimeoutError as error:
        detail = f"The body was not complete after {timeout_seconds:g} s."
        raise Problem(408, "body_too_slow", detail) from error


async def _chunks(first: Begun[Message], request: Request, max_bytes: int) -> bytes:
    chunks, size, message = [], 0, await first
    while message["type"] != "http.disconnect":
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            raise too_large(max_bytes)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        message = await request.receive()
    raise ClientDisconnect


@dataclass(slots=True)
class Gate:
    """Admits a bounded amount of work at a time; what does not fit is told to come back.

    Parameters
    ----------
    capacity
        Units that may be inside at a time.
    unit
        What is counted, for the refusal.
    """

    capacity: int
    unit: str
    inside: int = 0

    def enter(self, amount: int = 1) -> None:
        """Take `amount` units in. Raises `Problem` 503 if they do not fit beside others."""
        if self.inside and self.inside + amount > self.capacity:
            detail = (
                f"{self.inside} {self.unit} are under way; accepted at a time: {self.capacity}."
            )
            raise Problem(503, "overloaded", detail, retry_after=OVERLOAD_RETRY_SECONDS)
        self.inside += amount

    def leave(self, amount: int = 1) -> None:
        """Let `amount` units out."""
        self.inside -= amount
