"""From bytes to a struct: strict JSON first, then the struct's own rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from serving.errors import Problem
from serving.exchange import exchange_of
from serving.limits import JSON_TYPES, check_content_type, read_body
from serving.quick_json import read
from serving.strict_json import StrictJsonError

Struct = TypeVar("Struct", bound=msgspec.Struct)
# Numbers of query strings, which know texts only: how each is written, and what reads it.
_NUMBERS: Mapping[str, tuple[re.Pattern[str], Callable[[str], float]]] = {
    "phase": (re.compile(r"-?[0-9]{1,18}"), int),
    "limit": (re.compile(r"-?[0-9]{1,18}"), int),
    "deadline_ms": (re.compile(r"-?[0-9]{1,18}"), int),
    "diversity": (re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?"), float),
}


async def read_struct(request: Request, kind: type[Struct]) -> Struct:
    """The body of a request as a struct. Raises `Problem`."""
    return struct_of(await json_body(request), kind)


async def json_body(request: Request) -> bytes:
    """The body of a request that says it is JSON. Raises `Problem`."""
    check_content_type(request.scope["headers"], JSON_TYPES)
    return await whole_body(request)


async def whole_body(request: Request) -> bytes:
    """The body of a request, as large and as slow as the settings allow. Raises `Problem`."""
    settings = exchange_of(request).state.settings
    return await read_body(request, settings.body_timeout_seconds, settings.max_body_bytes)


def struct_of(body: bytes, kind: type[Struct]) -> Struct:
    """A body as a struct. Raises `Problem` 400 or 422."""
    try:
        return msgspec.convert(read(body), kind)
    except StrictJsonError as error:
        raise json_problem(error) from error
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_value", _safe(f"{error}")) from error


def json_problem(error: StrictJsonError) -> Problem:
    """The refusal of a body that is not strict JSON."""
    status = 400 if error.is_syntax else 422
    if error.code == "too_many_events":
        status = 413
    return Problem(status, error.code, error.detail)


def params_of(request: Request, kind: type[Struct]) -> Struct:
    """The query string of a request as a struct; a list field takes every repetition of its name.

    Raises `Problem` 400 or 422.
    """
    raw: bytes = request.scope["query_string"]
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=500
        )
    except ValueError as error:
        raise Problem(
            400, "malformed_query", "The query string is not UTF-8, percent-encoded."
        ) from error
    try:
        return msgspec.convert(_grouped(pairs, _list_fields(kind)), kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid_value", _safe(f"{error}")) from error


def _list_fields(kind: type[msgspec.Struct]) -> set[str]:
    return {each.name for each in msgspec.structs.fields(kind) if each.default_factory is list}


def _grouped(pairs: list[tuple[str, str]], lists: set[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in pairs:
        if name in lists:
            values.setdefault(name, [])
            values[name].append(value)  # type: ignore[attr-defined]
        elif name in values:
            raise Problem(422, "duplicate_parameter", f"Parameter {name[:64]!a} occurs twice.")
        else:
            values[name] = _number_or_text(name, value)
    return values


def _number_or_text(name: str, value: str) -> float | str:
    written, read = _NUMBERS.get(name, (None, None))
    return read(value) if written and read and written.fullmatch(value) else value


def _safe(message: str) -> str:
    return message.encode("utf-8", "replace").decode()
