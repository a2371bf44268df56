"""Single values of an event from outside: accepted exactly, or refused with what would be accepted.

Nothing is trimmed, folded or guessed. Numbers are JSON numbers; a dialect whose senders write
numbers as text turns them into numbers before they come here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from feature_store.events import Scalar
from recommender.errors import InvalidEventError

MAX_ID_BYTES: Final = 256
MAX_TEXT_BYTES: Final = 1024
MAX_PARAM_BYTES: Final = 2048
MAX_PARAM_NAME_BYTES: Final = 64
MAX_PARAMS: Final = 50
MAX_AMOUNT: Final = 1e12
MAX_QUANTITY: Final = 1e6
MAX_INDEX: Final = 1_000_000
INT64_MAX: Final = 2**63 - 1

# By magnitude a count since the epoch is seconds below 1e11 (year 5138), milliseconds below 1e14,
# microseconds below 1e17. The same bounds in microseconds keep a time readable in all three.
MIN_TS: Final = 10**14
MAX_TS: Final = 10**17

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COUNT = re.compile(r"\d{1,17}(\.\d{1,9})?", re.ASCII)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d{1,9})?(?:([Zz]| UTC)|([+-]\d\d:\d\d))", re.ASCII
)
_TS_ACCEPTED = (
    "accepted: RFC 3339 with a zone, or seconds, milliseconds or microseconds since the epoch, "
    "from 1973-03-03 to 5138-11-16"
)


def shorten(value: object) -> str:
    """A value from outside as printable text of at most some 60 characters."""
    if isinstance(value, str):
        return repr(value if len(value) <= 50 else f"{value[:47]}...")
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return f"an object of {len(value)} fields"
    return f"a list of {len(value)}" if isinstance(value, list | tuple) else type(value).__name__


def refused(code: str, field: str, value: object, accepted: str) -> InvalidEventError:
    """The error for one field: what, which value, what would be accepted."""
    return InvalidEventError(code, f"{field}={shorten(value)}; accepted: {accepted}")


def parse_id(value: object, field: str) -> str:
    """An outside id, byte-exact."""
    if isinstance(value, str) and 0 < _byte_length(value) <= MAX_ID_BYTES:
        return value
    raise refused("bad_id", field, value, f"text of 1 to {MAX_ID_BYTES} bytes of valid UTF-8")


def parse_text(value: object, field: str) -> str:
    """Free text, byte-exact."""
    if isinstance(value, str) and 0 <= _byte_length(value) <= MAX_TEXT_BYTES:
        return value
    raise refused("bad_text", field, value, f"text of at most {MAX_TEXT_BYTES} bytes of UTF-8")


def parse_amount(value: object, field: str) -> float:
    """A price or discount, in units of the currency."""
    return _number(value, field, 0.0, MAX_AMOUNT)


def parse_value(value: object, field: str) -> float:
    """A monetary value; below zero where a shop books a return so."""
    return _number(value, field, -MAX_AMOUNT, MAX_AMOUNT)


def parse_quantity(value: object, field: str) -> float:
    """A quantity; fractions are for goods sold by weight."""
    number = _number(value, field, 0.0, MAX_QUANTITY)
    if number > 0.0:
        return number
    raise refused("bad_number", field, value, f"a number above 0 and up to {MAX_QUANTITY:g}")


def parse_index(value: object, field: str) -> int:
    """A position in a list, as the sender counts."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INDEX:
        return value
    raise refused("bad_number", field, value, f"an integer from 0 to {MAX_INDEX}")


def parse_flag(value: object, field: str) -> bool:
    """A JSON boolean."""
    if isinstance(value, bool):
        return value
    raise refused("bad_flag", field, value, "true or false")


def parse_currency(value: object, field: str) -> str:
    """An ISO 4217 code; small letters are the same code."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha():
        return value.upper()
    raise refused("bad_currency", field, value, "three letters, such as 'EUR'")


def parse_ts(value: object, field: str) -> int:
    """A moment.

    Returns
    -------
    int
        Microseconds since the epoch, UTC.
    """
    ts = _timestamp(value)
    if ts is not None and MIN_TS <= ts < MAX_TS:
        return ts
    raise InvalidEventError("bad_ts", f"{field}={shorten(value)}; {_TS_ACCEPTED}")


def parse_params(value: object, field: str) -> dict[str, Scalar]:
    """Further parameters: flat, few, short."""
    if not isinstance(value, Mapping) or len(value) > MAX_PARAMS:
        raise refused("bad_params", field, value, f"an object of at most {MAX_PARAMS} fields")
    return {
        _param_name(name): _param(item, f"{field}.{name!r:.60}") for name, item in value.items()
    }


def _param_name(name: object) -> str:
    if isinstance(name, str) and 0 < _byte_length(name) <= MAX_PARAM_NAME_BYTES:
        return name
    raise refused("bad_params", "name", name, f"1 to {MAX_PARAM_NAME_BYTES} bytes of valid UTF-8")


def _param(value: object, field: str) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and 0 <= _byte_length(value) <= MAX_PARAM_BYTES:
        return value
    if isinstance(value, int) and -INT64_MAX - 1 <= value <= INT64_MAX:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value + 0.0
    raise refused(
        "bad_params",
        field,
        value,
        f"text of at most {MAX_PARAM_BYTES} bytes, a finite number (integers of 64 bit), a boolean",
    )


def _byte_length(text: str) -> int:
    """Bytes of UTF-8, or -1 for text that has none (a lone surrogate)."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1


def _number(value: object, field: str, low: float, high: float) -> float:
    # A comparison with NaN is false, so NaN is refused with the infinities.
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value) + 0.0  # no negative zero: it would be another digest
    raise refused("bad_number", field, value, f"a number from {low:g} to {high:g}")


def _timestamp(value: object) -> int | None:
    if isinstance(value, str):
        return _from_digits(value) if _COUNT.fullmatch(value) else _from_rfc3339(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _micros(value)


def _micros(count: int | float) -> int | None:
    if not 0 <= count < MAX_TS:
        return None
    scale = 1_000_000 if count < 1e11 else 1_000 if count < 1e14 else 1
    return round(count * scale)


def _from_digits(text: str) -> int | None:
    return _micros(float(text) if "." in text else int(text))


def _from_rfc3339(text: str) -> int | None:
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, minute, second, fraction, _, offset = match.groups()
    # A leap second is the last second of its minute plus one: fromisoformat does not know it.
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(
            f"{date}T{minute}:{'59' if leap else second}{(fraction or '')[:7]}{offset or '+00:00'}"
        )
    except ValueError:
        return None
    return (moment - _EPOCH) // _MICROSECOND + (1_000_000 if leap else 0)
