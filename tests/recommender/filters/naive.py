"""A filter asked of one item at a time, in plain Python: what the vectorised one must equal."""

from __future__ import annotations

import numpy as np

from recommender.catalogue import Catalogue
from recommender.filters.context import context_value
from recommender.filters.expression import (
    ATTRIBUTES,
    CATEGORY,
    CONTEXT_ATTRIBUTES,
    And,
    Attribute,
    Comparison,
    Expression,
    Literal,
    Membership,
    Missing,
    Not,
    Operand,
    Or,
    Product,
)
from recommender.query import Query

LARGEST = float(np.finfo(np.float32).max)


def truth(expression: Expression, item: int, query: Query, catalogue: Catalogue) -> bool | None:
    """True, false, or None where a missing value leaves it open."""
    if isinstance(expression, And | Or):
        parts = [truth(part, item, query, catalogue) for part in expression.parts]
        decided = isinstance(expression, Or)
        return decided if decided in parts else None if None in parts else not decided
    if isinstance(expression, Not):
        inside = truth(expression.part, item, query, catalogue)
        return None if inside is None else not inside
    if isinstance(expression, Missing):
        return value_of(expression.attribute, item, query, catalogue) is None
    if isinstance(expression, Membership):
        name = expression.attribute.name
        own = value_of(expression.attribute, item, query, catalogue)
        return None if own is None else any(same(name, own, v.value) for v in expression.values)
    return compared(expression, item, query, catalogue)


def compared(comparison: Comparison, item: int, query: Query, catalogue: Catalogue) -> bool | None:
    left = value_of(comparison.left, item, query, catalogue)
    right = value_of(comparison.right, item, query, catalogue)
    if left is None or right is None:
        return None
    name = comparison.left.name if isinstance(comparison.left, Attribute) else "price"
    if comparison.operator in ("=", "!="):
        return same(name, left, right) == (comparison.operator == "=")
    one, other = float(single(left)), float(single(right))
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[
        comparison.operator
    ]


def same(name: str, own: object, wanted: object) -> bool:
    if ATTRIBUTES[name] == CATEGORY:
        return f"{own}/".startswith(f"{wanted}/")
    if isinstance(own, float) and not isinstance(own, bool):
        return bool(single(own) == single(wanted))
    return own == wanted


def value_of(operand: Operand, item: int, query: Query, catalogue: Catalogue) -> object:
    if isinstance(operand, Literal):
        return float(operand.value) if type(operand.value) in (int, float) else operand.value
    if isinstance(operand, Product):
        value = value_of(operand.attribute, item, query, catalogue)
        return None if value is None else operand.factor * float(single(value))
    if operand.name in CONTEXT_ATTRIBUTES:
        return context_value(operand.name, query, catalogue)
    price = float(catalogue.item_price[item])
    return {
        "item_id": catalogue.ids.id(item),
        "title": catalogue.titles[item] or None,
        "category": catalogue.category_of(item),
        "brand": catalogue.brand_of(item),
        "price": price or None,
        "available": bool(catalogue.item_available[item]),
    }[operand.name]


def single(value: object) -> np.float32:
    return np.float32(min(max(float(value), -LARGEST), LARGEST))  # type: ignore[arg-type]
