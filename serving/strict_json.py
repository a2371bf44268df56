"""JSON from outside, read so strictly that no two readers can disagree about what it says.

Refused: duplicate keys, nesting deeper than 16, integers beyond 64 bit, numbers that are not
finite, lone surrogates, and text that is not UTF-8. Plain decoders let the last key win, turn
``1e999`` into infinity or read UTF-16; a log must hold what the sender meant.

A list of events is split first and each event is read on its own, so that one bad event does not
sink its batch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]

from recommender.errors import InvalidInputError

MAX_DEPTH = 16
INT64_DIGITS = 20
INT64_MIN, UINT64_MAX = -(1 << 63), (1 << 64) - 1

# The closing quote is optional and all quantifiers possessive: hostile text costs linear time.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKET = re.compile(r"[^\[\]{}]+")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class StrictJsonError(InvalidInputError):
    """The text is not acceptable JSON.

    Parameters
    ----------
    code
        Machine-readable reason, snake_case.
    is_syntax
        The text cannot be read at all, in contrast to a value that is not acceptable.
    """

    def __init__(self, code: str, detail: str, *, is_syntax: bool = True) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.is_syntax = is_syntax


@dataclass(frozen=True, slots=True)
class Piece:
    """One element of a list.

    Parameters
    ----------
    raw
        The element's own bytes, as sent.
    value
        What it says, or why it is refused.
    """

    raw: bytes
    value: object


def text_of(body: bytes) -> str:
    """Text of a body; bytes that are not UTF-8 stay recognisable and are refused by the readers."""
    return body.decode("utf-8", "surrogateescape")


def parse(text: str) -> object:
    """Read one whole document. Raises `StrictJsonError`."""
    start = skip_space(text, 0)
    _check_text(text)
    _check_depth(text)
    value, end = _decode(text, start)
    check_end(text, end)
    _check_surrogates(text, value)
    return value


def split_list(text: str, start: int, limit: int) -> tuple[list[Piece], int]:
    """Read a list element by element.

    Parameters
    ----------
    start
        Position of its opening bracket.
    limit
        Elements accepted at most.

    Returns
    -------
    tuple
        The elements, and the position after the closing bracket.

    Raises
    ------
    StrictJsonError
        The list itself cannot be read, or is too long (code ``too_many_events``).
    """
    pieces: list[Piece] = []
    position = skip_space(text, start + 1)
    if text[position : position + 1] == "]":
        return pieces, position + 1
    while True:
        if len(pieces) == limit:
            raise StrictJsonError("too_many_events", f"more than {limit} events in one request")
        piece, position = _piece(text, position)
        pieces.append(piece)
        position = skip_space(text, position)
        mark = text[position : position + 1]
        if mark == "]":
            return pieces, position + 1
        position = skip_space(text, expect(text, position, ","))


def member_name(text: str, position: int) -> tuple[str, int]:
    """Read ``"name" :`` of an object; the position returned is that of the value."""
    after_quote = expect(text, position, '"')
    try:
        name, end = scanstring(text, after_quote, True)  # noqa: FBT003 - the signature of the C scanner
    except ValueError as error:
        raise malformed(text, position, str(error)) from error
    return name, skip_space(text, expect(text, skip_space(text, end), ":"))


def member_value(text: str, position: int) -> tuple[object, int]:
    """Read one value inside a larger text strictly, and the position after it."""
    value, end = _decode(text, position)
    _check_piece(text[position:end], value)
    return value, end


def expect(text: str, position: int, mark: str) -> int:
    """Position after a mark that must stand here. Raises `StrictJsonError`."""
    if text[position : position + 1] != mark:
        raise malformed(text, position, f"{mark!r} is expected")
    return position + 1


def skip_space(text: str, position: int) -> int:
    """Position of the next character that is not JSON white space."""
    return int(WHITESPACE.match(text, position).end())


def check_end(text: str, position: int) -> None:
    """Raise `StrictJsonError` if anything but white space follows."""
    if skip_space(text, position) != len(text):
        raise malformed(text, position, "nothing more is expected")


def malformed(text: str, position: int, reason: str) -> StrictJsonError:
    """The error of text that is not JSON."""
    found = repr(text[position : position + 1]) if position < len(text) else "the end"
    detail = f"not JSON at character {position}, where {found} stands: {reason}"
    return StrictJsonError("malformed_json", detail.encode("utf-8", "replace").decode())


def duplicate_key(name: str) -> StrictJsonError:
    """The error of an object that says the same thing twice."""
    return StrictJsonError("duplicate_key", f"key {name[:64]!a} occurs twice in one object")


def _piece(text: str, start: int) -> tuple[Piece, int]:
    value: object
    try:
        value, end = _decode(text, start)
        _check_piece(text[start:end], value)
    except StrictJsonError as error:
        # The end of an element that is refused for its values is found by a lenient reading.
        value, end = error, _lenient_end(text, start)
    return Piece(text[start:end].encode("utf-8", "surrogateescape"), value), end


def _decode(text: str, start: int) -> tuple[object, int]:
    try:
        return _STRICT.raw_decode(text, start)
    except StrictJsonError:
        raise
    except json.JSONDecodeError as error:
        raise malformed(text, error.pos, error.msg) from error
    except RecursionError as error:
        raise _too_deep() from error


def _lenient_end(text: str, start: int) -> int:
    try:
        return _LENIENT.raw_decode(text, start)[1]
    except json.JSONDecodeError as error:
        raise malformed(text, error.pos, error.msg) from error
    except RecursionError as error:
        raise _too_deep() from error


def _check_piece(raw: str, value: object) -> None:
    _check_text(raw)
    _check_depth(raw)
    _check_surrogates(raw, value)


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        detail = f"the text is not UTF-8 at character {error.start}"
        raise StrictJsonError("invalid_utf8", detail) from error


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _NOT_BRACKET.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise _too_deep()


def _check_surrogates(text: str, value: object) -> None:
    if not _SURROGATE_ESCAPE.search(text):
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        detail = "a \\u escape stands for half a surrogate pair, which is no character"
        raise StrictJsonError("lone_surrogate", detail) from error


def _too_deep() -> StrictJsonError:
    return StrictJsonError("too_deep", f"nested deeper than {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise duplicate_key(_first_repeated(name for name, _ in pairs))
    return value


def _first_repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _not_finite(digits)
    return value


def _int(digits: str) -> int:
    if len(digits) <= INT64_DIGITS and INT64_MIN <= (value := int(digits)) <= UINT64_MAX:
        return value
    detail = f"integer {digits[:40]} does not fit into 64 bit"
    raise StrictJsonError("number_out_of_range", detail, is_syntax=False)


def _not_finite(digits: str) -> StrictJsonError:
    detail = f"number {digits[:40]} is not finite; a finite number is accepted"
    return StrictJsonError("number_not_finite", detail, is_syntax=False)


def _constant(name: str) -> object:
    raise _not_finite(name)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_int, parse_constant=_constant
)
_LENIENT = json.JSONDecoder(parse_int=float)
