"""The body of ``POST /v1/events``: one event, a list of events, or ``{"events": [...]}``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from serving.strict_json import (
    Piece,
    StrictJsonError,
    check_end,
    duplicate_key,
    expect,
    malformed,
    member_name,
    member_value,
    parse,
    skip_space,
    split_list,
    text_of,
)

EVENTS, API_KEY = "events", "api_key"


@dataclass(frozen=True, slots=True)
class EventBody:
    """What was sent.

    Parameters
    ----------
    pieces
        The events, each read on its own.
    api_key
        Key inside the envelope: a beacon cannot send headers.
    """

    pieces: list[Piece]
    api_key: str | None = None


def parse_events(body: bytes, limit: int) -> EventBody:
    """Split a body into events.

    Raises
    ------
    StrictJsonError
        The body as a whole cannot be used. A bad event inside a list is no such case.
    """
    text = text_of(body)
    start = skip_space(text, 0)
    mark = text[start : start + 1]
    if mark == "[":
        pieces, end = split_list(text, start, limit)
        check_end(text, end)
        return EventBody(pieces)
    if mark != "{":
        raise malformed(text, start, "an event, a list of events or an envelope is expected")
    return _envelope(text, start, limit) or _single(body, parse(text))


def _single(body: bytes, value: object) -> EventBody:
    if not isinstance(value, dict) or not isinstance(value.get(API_KEY), str):
        return EventBody([Piece(body, value)])
    # A key must not come into the log or the quarantine with the event that it opened the door for.
    event = {name: part for name, part in value.items() if name != API_KEY}
    return EventBody([Piece(json.dumps(event).encode(), event)], value[API_KEY])


def _envelope(text: str, start: int, limit: int) -> EventBody | None:
    members: dict[str, object] = {}
    pieces: list[Piece] | None = None
    position = skip_space(text, start + 1)
    while text[position : position + 1] != "}":
        name, position = member_name(text, position)
        if name in members:
            raise duplicate_key(name)
        if name == EVENTS and text[position : position + 1] == "[":
            pieces, position = split_list(text, position, limit)
            members[name] = None
        elif name in (EVENTS, API_KEY):
            members[name], position = member_value(text, position)
        else:  # the key of an event, so this is no envelope
            return _refuse_mixture(name) if pieces is not None else None
        position = _next_member(text, position)
    check_end(text, position + 1)
    return _checked(pieces, members)


def _next_member(text: str, position: int) -> int:
    position = skip_space(text, position)
    if text[position : position + 1] == "}":
        return position
    position = skip_space(text, expect(text, position, ","))
    if text[position : position + 1] == "}":
        raise malformed(text, position, "a key is expected")
    return position


def _refuse_mixture(name: str) -> EventBody:
    detail = f"key {name[:64]!a} beside {EVENTS!r}; accepted there: {API_KEY!r}"
    raise StrictJsonError("unknown_field", detail, is_syntax=False)


def _checked(pieces: list[Piece] | None, members: dict[str, object]) -> EventBody | None:
    if pieces is None:
        if EVENTS in members:
            raise StrictJsonError("invalid_value", "'events' is not a list", is_syntax=False)
        return None
    key = members.get(API_KEY)
    if key is not None and not isinstance(key, str):
        raise StrictJsonError("invalid_value", "'api_key' is not a string", is_syntax=False)
    return EventBody(pieces, key)
