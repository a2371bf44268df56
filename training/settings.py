"""Settings files as frozen dataclasses: each field declares its default and what is accepted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar, get_type_hints

from recommender.errors import ConfigError
from recommender.terms import EVENT_TYPES

Section = TypeVar("Section")

# `field` with metadata is typed as Any on purpose: dataclasses' own stubs treat it so.


def number(default: float, low: float, high: float) -> Any:
    """A finite number in low..high."""
    return field(default=float(default), metadata={"low": low, "high": high})


def whole(default: int, low: int, high: int) -> Any:
    """A whole number in low..high."""
    return field(default=default, metadata={"low": low, "high": high})


def choice(default: str, *accepted: str) -> Any:
    """One of several words."""
    return field(default=default, metadata={"accepted": accepted})


def text(default: str) -> Any:
    """Any text that is not empty."""
    return field(default=default, metadata={"accepted": None})


def words(default: Sequence[str], accepted: Sequence[str]) -> Any:
    """Several distinct words, at least one."""
    return field(default=tuple(default), metadata={"members": tuple(accepted)})


def wholes(default: Sequence[int], low: int, high: int) -> Any:
    """Distinct whole numbers in low..high, at least one; kept rising."""
    return field(default=tuple(default), metadata={"low": low, "high": high})


def event_types(*default: str) -> Any:
    """Several canonical event names, at least one."""
    return words(default, EVENT_TYPES)


def build(section: type[Section], table: Mapping[str, object], where: str) -> Section:
    """Make a section from a TOML table.

    Raises
    ------
    ConfigError
        A key is unknown, or a value is of the wrong type or outside what is accepted.
    """
    fields = {each.name: each for each in dataclasses.fields(section)}  # type: ignore[arg-type]
    refuse_unknown(table, list(fields), where)
    hints = get_type_hints(section)
    values = {}
    for name, value in table.items():
        values[name] = _value(value, hints[name], fields[name].metadata, f"{where}.{name}")
    return section(**values)


def refuse_unknown(table: Mapping[str, object], accepted: Sequence[str], where: str) -> None:
    """Raise `ConfigError` if the table has a key that is not accepted."""
    if unknown := sorted(table.keys() - set(accepted)):
        raise ConfigError(
            f"{where}: unknown key {', '.join(map(repr, unknown))}; accepted: {', '.join(accepted)}"
        )


def weights(
    table: Mapping[str, object], accepted: Sequence[str], where: str
) -> tuple[tuple[str, float], ...]:
    """A table of names and non-negative weights, in the order of `accepted`."""
    refuse_unknown(table, accepted, where)
    found = {
        name: _number(value, {"low": 0, "high": 1e6}, f"{where}.{name}")
        for name, value in table.items()
    }
    return tuple((name, found[name]) for name in accepted if name in found)


def _value(value: object, hint: object, limits: Mapping[str, Any], where: str) -> object:
    if hint is bool:
        return _typed(value, bool, where)
    if hint is int:
        return _whole(value, limits, where)
    if hint is float:
        return _number(value, limits, where)
    if hint is str:
        return _word(value, limits["accepted"], where)
    if hint == tuple[int, ...]:
        listed = [_whole(each, limits, where) for each in _distinct(value, where)]
        return tuple(sorted(listed))
    members = [_word(each, limits["members"], where) for each in _distinct(value, where)]
    return tuple(members)


def _typed(value: object, kind: type, where: str) -> Any:
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{where}={value!r}; accepted: {kind.__name__}")
    return value


def _whole(value: object, limits: Mapping[str, Any], where: str) -> int:
    return int(_in_range(_typed(value, int, where), limits, where))


def _number(value: object, limits: Mapping[str, Any], where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}={value!r}; accepted: a number")
    return _in_range(float(value), limits, where)


def _in_range(value: float, limits: Mapping[str, Any], where: str) -> float:
    low, high = limits["low"], limits["high"]
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"{where}={value}; accepted: {low} to {high}")
    return value


def _word(value: object, accepted: Sequence[str] | None, where: str) -> str:
    if accepted is None:
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{where}={value!r}; accepted: a text")
        return value
    if value not in accepted:
        raise ConfigError(f"{where}={value!r}; accepted: {', '.join(accepted)}")
    return str(value)


def _distinct(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError(f"{where}={value!r}; accepted: a list with at least one member")
    if len(set(map(str, value))) != len(value):
        raise ConfigError(f"{where}={value!r} names a member twice")
    return value
