from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.event_body import parse_events
from serving.strict_json import StrictJsonError

EVENT = {"event_type": "view_item", "items": [{"item_id": "é/1"}]}
events = st.lists(st.just(EVENT) | st.integers() | st.none() | st.just({}), max_size=5)


@given(events, st.booleans())
def test_a_list_and_an_envelope_say_the_same(listed: list[object], spaced: bool) -> None:
    separators = (" , ", " : ") if spaced else (",", ":")
    bare = parse_events(json.dumps(listed, separators=separators).encode(), 10)
    wrapped = parse_events(json.dumps({"events": listed}, separators=separators).encode(), 10)
    assert bare == wrapped
    assert [piece.value for piece in bare.pieces] == listed


def test_one_event_is_one_piece_with_its_own_bytes() -> None:
    body = json.dumps(EVENT).encode()
    (piece,) = parse_events(body, 10).pieces
    assert (piece.raw, piece.value) == (body, EVENT)


@pytest.mark.parametrize(
    "body",
    [
        b'{"api_key":"k","events":[{"a":1}]}',
        b' { "events" : [ {"a":1} ] , "api_key" : "k" } ',
        b'{"\\u0065vents":[{"a":1}],"api_key":"k"}',
    ],
)
def test_a_beacon_carries_its_key(body: bytes) -> None:
    parsed = parse_events(body, 10)
    assert parsed.api_key == "k"
    assert [piece.value for piece in parsed.pieces] == [{"a": 1}]


def test_a_key_is_taken_out_of_a_single_event() -> None:
    parsed = parse_events(b'{"api_key":"secret","a":1}', 10)
    assert parsed.api_key == "secret"
    assert [(piece.raw, piece.value) for piece in parsed.pieces] == [(b'{"a": 1}', {"a": 1})]


def test_an_envelope_of_another_system_is_left_to_the_dialects() -> None:
    body = b'{"client_id":"c","events":[{"name":"view_item"}]}'
    (piece,) = parse_events(body, 10).pieces
    assert piece.value == {"client_id": "c", "events": [{"name": "view_item"}]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"1", "malformed_json"),
        (b'"event"', "malformed_json"),
        (b"[1] 2", "malformed_json"),
        (b'{"events":[1],}', "malformed_json"),
        (b'{"events":[1]} x', "malformed_json"),
        (b'{"events":[1]', "malformed_json"),
        (b'{"events"', "malformed_json"),
        (b'{"events":[1],"events":[2]}', "duplicate_key"),
        (b'{"api_key":"a","events":[],"api_key":"b"}', "duplicate_key"),
        (b'{"events":[1],"more":2}', "unknown_field"),
        (b'{"events":{}}', "invalid_value"),
        (b'{"events":[],"api_key":1}', "invalid_value"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b"[" + b"1," * 10 + b"1]", "too_many_events"),
        (b'{"events":[' + b"1," * 10 + b"1]}", "too_many_events"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_whole(body: bytes, code: str) -> None:
    with pytest.raises(StrictJsonError) as caught:
        parse_events(body, 10)
    assert caught.value.code == code


@given(st.text('{}[]",:events api_key123\\u00e9', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse_events(text.encode(), 10)
    except StrictJsonError:
        return
    if parsed.api_key is None:
        assert all(piece.raw in text.encode() for piece in parsed.pieces)
