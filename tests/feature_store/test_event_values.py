"""Single values: accepted exactly or refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store import event_values as values
from recommender.errors import InvalidEventError

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
PARSERS = [
    values.parse_id,
    values.parse_text,
    values.parse_amount,
    values.parse_value,
    values.parse_quantity,
    values.parse_index,
    values.parse_flag,
    values.parse_currency,
    values.parse_ts,
    values.parse_params,
]


@pytest.mark.parametrize(
    "text",
    ["a", " a ", "é", "e\u0301", "\0", "\u202e", "用户1", "😀", "x" * 256, "😀" * 64, "A"],
)
def test_ids_are_kept_byte_exact(text: str) -> None:
    assert values.parse_id(text, "item_id") == text


@pytest.mark.parametrize(
    "bad", ["", "x" * 257, "😀" * 65, "\ud800", "a\udfff", 5, 1.0, True, None, [], {}]
)
def test_other_ids_are_refused(bad: object) -> None:
    with pytest.raises(InvalidEventError, match=r"item_id=.*accepted: text of 1 to 256") as refusal:
        values.parse_id(bad, "item_id")
    assert refusal.value.code == "bad_id"
    refusal.value.detail.encode()  # printable whatever was sent


@pytest.mark.parametrize(
    "bad", ["nan", "1", "inf", float("nan"), float("inf"), -0.5, 10**400, True, [1], 1e13]
)
def test_prices_are_finite_json_numbers_from_zero(bad: object) -> None:
    with pytest.raises(InvalidEventError, match="price=") as refusal:
        values.parse_amount(bad, "price")
    assert refusal.value.code == "bad_number"


@pytest.mark.parametrize("good", [0, 0.0, -0.0, 5e-324, 9.9, 12, 1e12])
def test_subnormal_and_zero_prices_pass(good: float) -> None:
    parsed = values.parse_amount(good, "price")
    assert parsed == good
    assert str(parsed)[0] != "-"


@pytest.mark.parametrize("bad", [0, -1, -0.0, 1e7, "2", float("nan")])
def test_quantities_are_above_zero(bad: object) -> None:
    with pytest.raises(InvalidEventError) as refusal:
        values.parse_quantity(bad, "quantity")
    assert refusal.value.code == "bad_number"


def test_quantities_may_be_fractions() -> None:
    assert values.parse_quantity(0.25, "quantity") == 0.25


@pytest.mark.parametrize("bad", ["EURO", "EU", "€€€", "12A", 978, None])
def test_currencies_have_three_letters(bad: object) -> None:
    with pytest.raises(InvalidEventError) as refusal:
        values.parse_currency(bad, "currency")
    assert refusal.value.code == "bad_currency"


def test_small_letters_are_the_same_currency() -> None:
    assert values.parse_currency("eur", "currency") == "EUR"


MOMENT = datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)
MICROS = 1_795_255_200_123_456


@pytest.mark.parametrize(
    ("sent", "micros"),
    [
        (1_795_255_200, 1_795_255_200_000_000),
        (1_795_255_200_123, 1_795_255_200_123_000),
        (MICROS, MICROS),
        (1_795_255_200.123456, MICROS),
        (1_795_255_200_123.456, MICROS),
        ("1795255200", 1_795_255_200_000_000),
        ("1795255200123", 1_795_255_200_123_000),
        ("1795255200123456", MICROS),
        ("1795255200.5", 1_795_255_200_500_000),
        ("2026-11-21T10:00:00.123456Z", MICROS),
        ("2026-11-21t10:00:00.123456789z", MICROS),
        ("2026-11-21 10:00:00.123456 UTC", MICROS),
        ("2026-11-21T12:00:00.123456+02:00", MICROS),
        ("2026-11-20T22:00:00-12:00", MICROS - 123_456),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ("1973-03-03T09:46:40Z", values.MIN_TS),
        (100_000_000, values.MIN_TS),
    ],
)
def test_times_are_read_by_magnitude_or_notation(sent: object, micros: int) -> None:
    assert values.parse_ts(sent, "ts") == micros


@pytest.mark.parametrize(
    "bad",
    [
        "2026-11-21T10:00:00",
        "2026-11-21",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "20261121T100000Z",
        "2026-11-21T10:00:00+2",
        "٢٠٢٦-11-21T10:00:00Z",
        "now",
        "",
        " 1795255200",
        "1795255200 ",
        "-1",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "1970-01-01T00:00:00Z",
        0,
        -5,
        1_795_255_200_123_456_789,
        10**30,
        float("nan"),
        float("inf"),
        True,
        None,
        [],
    ],
)
def test_other_times_are_refused(bad: object) -> None:
    with pytest.raises(InvalidEventError, match="accepted: RFC 3339") as refusal:
        values.parse_ts(bad, "ts")
    assert refusal.value.code == "bad_ts"


@given(st.datetimes(datetime(1973, 3, 4), datetime(5138, 11, 15), timezones=st.just(UTC)))  # noqa: DTZ001 - Hypothesis takes bounds without zone
def test_every_notation_of_a_moment_is_the_same_moment(moment: datetime) -> None:
    micros = values.parse_ts(moment.isoformat(), "ts")
    assert values.parse_ts(micros, "ts") == micros
    assert values.parse_ts(str(micros), "ts") == micros
    assert values.parse_ts(micros // 1000, "ts") == micros // 1000 * 1000
    assert values.parse_ts(micros // 1_000_000, "ts") == micros // 1_000_000 * 1_000_000


@pytest.mark.parametrize(
    "bad",
    [
        {"a": []},
        {"a": {}},
        {"a": float("nan")},
        {"a": 2**63},
        {"a": -(2**63) - 1},
        {"a": "x" * 2049},
        {"a": "\ud800"},
        {"": 1},
        {"x" * 65: 1},
        {"\ud800": 1},
        {str(number): 1 for number in range(51)},
        [],
        "a",
    ],
)
def test_parameters_are_flat_few_and_short(bad: object) -> None:
    with pytest.raises(InvalidEventError) as refusal:
        values.parse_params(bad, "params")
    assert refusal.value.code == "bad_params"
    refusal.value.detail.encode()


def test_good_parameters_are_kept_as_sent() -> None:
    good = {"a": 1, "b": 1.5, "c": "x" * 2048, "d": None, "e": True, "f": -(2**63), "g": 2**63 - 1}
    assert values.parse_params(good, "params") == good


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@given(value=JSON_VALUES)
def test_a_refusal_is_short_and_printable(parse: object, value: object) -> None:
    detail = ""
    try:
        parse(value, "field")  # type: ignore[operator]
    except InvalidEventError as error:
        detail = error.detail
    assert len(detail) < 400
    json.dumps(detail, ensure_ascii=False).encode()


def test_huge_integers_are_described_not_printed() -> None:
    assert values.shorten(10**5000) == "an integer of 16610 bits"
