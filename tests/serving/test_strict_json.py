from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.quick_json import read
from serving.strict_json import MAX_DEPTH, Piece, StrictJsonError, parse, split_list, text_of

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


def refusal(body: bytes) -> StrictJsonError:
    with pytest.raises(StrictJsonError) as caught:
        parse(text_of(body))
    return caught.value


@given(documents, st.booleans())
def test_what_every_reader_understands_is_read_as_sent(document: object, escaped: bool) -> None:
    body = json.dumps(document, ensure_ascii=escaped).encode()
    assert parse(text_of(body)) == document


@pytest.mark.parametrize(
    ("body", "code", "is_syntax"),
    [
        (b"", "malformed_json", True),
        (b"{", "malformed_json", True),
        (b"{} {}", "malformed_json", True),
        (b"{'a': 1}", "malformed_json", True),
        (b'{"a": 1,}', "malformed_json", True),
        (b'"\x01"', "malformed_json", True),
        (b"01", "malformed_json", True),
        (b"+1", "malformed_json", True),
        (b'\xef\xbb\xbf{"a": 1}', "malformed_json", True),
        ('{"a": 1}'.encode("utf-16"), "invalid_utf8", True),
        ('{"a": 1}'.encode("utf-16-le"), "malformed_json", True),
        ('{"a": 1}'.encode("utf-32"), "invalid_utf8", True),
        (b'{"a": "\xff"}', "invalid_utf8", True),
        (b'{"a": "\xc0\x80"}', "invalid_utf8", True),
        (b'{"a": "\xed\xa0\x80"}', "invalid_utf8", True),
        (b'{"a": "\\ud800"}', "lone_surrogate", True),
        (b'{"a": "\\udc00x"}', "lone_surrogate", True),
        (b'{"\\ud83d": 1}', "lone_surrogate", True),
        (b'{"a": 1, "a": 1}', "duplicate_key", True),
        (b'{"a": 1, "\\u0061": 2}', "duplicate_key", True),
        (b'[{"x": {"a": 1, "b": 2, "a": 3}}]', "duplicate_key", True),
        (b"NaN", "number_not_finite", False),
        (b"[Infinity]", "number_not_finite", False),
        (b'{"a": -Infinity}', "number_not_finite", False),
        (b"1e999", "number_not_finite", False),
        (b"-1e999", "number_not_finite", False),
        (b"18446744073709551616", "number_out_of_range", False),
        (b"-9223372036854775809", "number_out_of_range", False),
        (b"1" * 5000, "number_out_of_range", False),
        (b"[" * 17 + b"]" * 17, "too_deep", True),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "too_deep", True),
        (b"[" * 100_000, "too_deep", True),
        (b'{"a":[' * 50_000, "too_deep", True),
    ],
)
def test_refusals(body: bytes, code: str, is_syntax: bool) -> None:
    error = refusal(body)
    assert (error.code, error.is_syntax) == (code, is_syntax)
    with pytest.raises(StrictJsonError) as caught:
        read(body)
    assert (caught.value.code, caught.value.detail) == (error.code, error.detail)
    assert error.detail.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"-0.0",
        b"5e-324",
        b"1.7976931348623157e308",
        b"18446744073709551615",
        b"-9223372036854775808",
        b'"\\u0000"',
        b'"\\ud83d\\ude00"',
        '"\u202e😀"'.encode(),
        b'"\\\\ud800"',
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        b'["' + b"[" * 100 + b'"]',
        b'["\\"' + b"{" * 100 + b'"]',
    ],
)
def test_unusual_and_fine(body: bytes) -> None:
    assert parse(text_of(body)) == json.loads(body)
    assert repr(read(body)) == repr(parse(text_of(body)))


@given(st.binary(max_size=60) | st.text('[]{}",:0123456789eE+-.\\u \n"ab').map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = parse(text_of(body))
    except StrictJsonError:
        return
    assert value == json.loads(body.decode())


def outcome(body: bytes, reader: Callable[[bytes], object]) -> tuple[str, str]:
    """What a reader makes of a body: types, order and signs of zeros included."""
    try:
        return "", repr(reader(body))
    except StrictJsonError as error:
        return error.code, error.detail


keys = st.sampled_from(["a", "b", ":", "a:b", "\\u0061", "ü", ""])
RAW = (
    *("1", "-0", "-0.0", "1e5", "01", "1e999", "NaN", "null", "true", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616"),
    *('":"', '"a:b"', '"x"', '"\\n"', '"\\ud800"', '"ü"'),
)
raw_scalars = st.sampled_from(RAW) | st.floats().map(repr)
raw_documents = st.recursive(
    raw_scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(keys, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f'"{key}" : {each}' for key, each in pairs) + "}"
        )
    ),
    max_leaves=10,
)


@given(
    raw_documents.map(str.encode)
    | documents.map(lambda each: json.dumps(each, ensure_ascii=False).encode())
    | st.binary(max_size=60)
    | st.text('[]{}",:0123456789eE+-.\\u \n"ab').map(str.encode)
)
def test_the_quick_reader_says_what_the_strict_one_says(body: bytes) -> None:
    assert outcome(body, read) == outcome(body, lambda each: parse(text_of(each)))


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * 500_000,
        b'[["' + b"{" * 8 + b'\\"' * 400_000,
        b"{" + b",".join(b'"k%d":1' % i for i in range(60_000)) + b',"k59999":1}',
        b"[" + b'"' * 900_000,
        b"-" * 1_000_000,
        b"\\u" * 500_000,
    ],
)
def test_hostile_megabytes_take_linear_time(body: bytes) -> None:
    started = time.process_time()
    refusal(body)
    assert time.process_time() - started < 2


def split(body: bytes) -> list[Piece]:
    text = text_of(body)
    pieces, end = split_list(text, 0, 1000)
    assert end == len(text)
    return pieces


@given(st.lists(documents, max_size=6))
def test_a_list_is_split_without_loss(items: list[object]) -> None:
    pieces = split(json.dumps(items).encode())
    assert [piece.value for piece in pieces] == items
    assert [json.loads(piece.raw) for piece in pieces] == items


def test_a_bad_element_keeps_its_bytes_and_spares_its_neighbours() -> None:
    bad = [
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":99999999999999999999}',
        b"[" * 20 + b"]" * 20,
    ]
    body = b"[" + b" , ".join(b'{"good":1},' + each for each in bad) + b"]"
    pieces = split(body)
    assert [piece.raw for piece in pieces[1::2]] == bad
    assert [piece.value for piece in pieces[::2]] == [{"good": 1}] * len(bad)
    assert [piece.value.code for piece in pieces[1::2]] == [  # type: ignore[attr-defined]
        "duplicate_key",
        "number_not_finite",
        "number_not_finite",
        "invalid_utf8",
        "lone_surrogate",
        "number_out_of_range",
        "too_deep",
    ]


def test_a_list_that_is_too_long_is_refused() -> None:
    with pytest.raises(StrictJsonError) as caught:
        split_list("[1,2,3]", 0, 2)
    assert caught.value.code == "too_many_events"


@pytest.mark.parametrize("text", ["[1", "[1,", "[1 2]", "[,]", "[1,]", '[{"a":NaN]', "["])
def test_a_broken_list_is_refused_whole(text: str) -> None:
    with pytest.raises(StrictJsonError) as caught:
        split_list(text, 0, 10)
    assert caught.value.code == "malformed_json"
