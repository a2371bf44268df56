"""The filter of a question: text of the language, or a mapping whose conditions must all hold.

A mapping names an attribute and what is accepted of it::

    {"category": ["garden", "kitchen/knives"], "brand": "acme", "price": {"max": 30}}

A category stands for itself and its descendants. Both forms become one tree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from recommender.errors import InvalidInputError
from recommender.filters.expression import (
    And,
    Attribute,
    Comparison,
    Expression,
    Literal,
    Membership,
)
from recommender.filters.parser import MAX_VALUES, parse


def filter_expression(given: str | Mapping[str, object]) -> Expression | None:
    """The tree of a question's filter; None where there is nothing to filter.

    Raises
    ------
    InvalidInputError
        The text is no filter, or the mapping names an unknown attribute or unacceptable value.
    """
    if not given and not isinstance(given, str):
        return None
    try:
        if isinstance(given, str):
            return parse(given)
        parts = tuple(part for name, wanted in given.items() for part in _condition(name, wanted))
    except InvalidInputError as error:
        raise InvalidInputError(f"filter: {error}") from error
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(parts)


def _condition(attribute: str, wanted: object) -> Iterator[Expression]:
    condition = CONDITIONS.get(attribute)
    if condition is None:
        accepted = ", ".join(CONDITIONS)
        raise InvalidInputError(f"unknown attribute {attribute!r}; accepted: {accepted}")
    return condition(attribute, wanted)


def _texts(attribute: str, wanted: object) -> Iterator[Expression]:
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    texts = tuple(Literal(value) for value in values if isinstance(value, str))
    if not 1 <= len(texts) == len(values) <= MAX_VALUES:
        raise InvalidInputError(
            f"{attribute}={wanted!r}; accepted: a text or 1 to {MAX_VALUES} texts"
        )
    yield Membership(Attribute(attribute), texts)


def _range(attribute: str, wanted: object) -> Iterator[Expression]:
    if not isinstance(wanted, Mapping) or not wanted or wanted.keys() - {"min", "max"}:
        raise InvalidInputError(f'{attribute}={wanted!r}; accepted: {{"min": …, "max": …}}')
    low, high = _number(wanted.get("min", 0)), _number(wanted.get("max", math.inf))
    if low > high:
        raise InvalidInputError(f"{attribute}={wanted!r}; accepted: min not above max")
    yield Comparison(Attribute(attribute), ">=", Literal(low))
    yield Comparison(Attribute(attribute), "<=", Literal(high))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InvalidInputError(f"price bound {value!r}; accepted: a number")
    return float(value)


def _true(attribute: str, wanted: object) -> Iterator[Expression]:
    if wanted is not True:
        raise InvalidInputError(
            f"{attribute}={wanted!r}; accepted: true (unavailable items are never shown)"
        )
    yield Comparison(Attribute(attribute), "=", Literal(value=True))


CONDITIONS: Final[Mapping[str, Callable[[str, object], Iterator[Expression]]]] = {
    "category": _texts,
    "brand": _texts,
    "price": _range,
    "available": _true,
}
