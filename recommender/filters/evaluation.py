"""A filter asked of many items at once, with SQL's three truth values.

A comparison with a missing value is neither true nor false, and so is its contrary; ``and``, ``or``
and ``not`` follow Kleene's logic; in the end only what is true counts. Only ``is missing`` never is
in doubt. Numbers are compared as float32, in which prices are kept: every literal and every product
is rounded to float32 first (beyond its range: to its largest), so that ``price = 9.99`` finds what
costs 9.99.

Notation: a verdict is a pair ``(is true, is false)``, each bool (rows,), or one bool where no item
is looked at.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeAlias

import numpy as np

from recommender.catalogue import NO_CATEGORY, UNKNOWN_PRICE, Catalogue
from recommender.filters.context import ContextValue, context_value
from recommender.filters.expression import (
    CATEGORY,
    CONTEXT_ATTRIBUTES,
    NUMBER,
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
    attributes_of,
    kind_of,
)
from recommender.query import Query
from recommender.terms import BoolArray, Int32Array

# One bool or an array of them; numpy's operators take both.
Truth: TypeAlias = Any
Verdict: TypeAlias = tuple[Truth, Truth]
_LARGEST: Final = float(np.finfo(np.float32).max)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matching(
    expression: Expression, query: Query, catalogue: Catalogue, rows: Int32Array | None = None
) -> BoolArray:
    """Which items an expression is true of.

    Parameters
    ----------
    rows
        Item indices to look at, int32 (rows,); None for the whole catalogue.

    Returns
    -------
    BoolArray
        bool (rows,) or (items,).
    """
    length = len(catalogue) if rows is None else len(rows)
    is_true, _ = _Evaluation(query, catalogue, rows).verdict(expression)
    return np.array(np.broadcast_to(is_true, length))


def holds(expression: Expression, query: Query, catalogue: Catalogue) -> bool:
    """Whether an expression over the question alone is true."""
    is_true, _ = _Evaluation(query, catalogue, None).verdict(expression)
    return bool(is_true)


def is_fixed(expression: Expression) -> bool:
    """Whether an expression is true of the same items whatever is asked."""
    return not any(name in CONTEXT_ATTRIBUTES for name in attributes_of(expression))


def asked_of(
    expression: Expression, query: Query, catalogue: Catalogue
) -> tuple[ContextValue, ...]:
    """What an expression goes by of a question.

    It is true of the same items for all questions that agree in this.
    """
    asked = [name for name in attributes_of(expression) if name in CONTEXT_ATTRIBUTES]
    return tuple([context_value(name, query, catalogue) for name in asked])


@dataclass(frozen=True, slots=True)
class _Evaluation:
    query: Query
    catalogue: Catalogue
    rows: Int32Array | None

    def verdict(self, expression: Expression) -> Verdict:
        if isinstance(expression, And):
            return _all(self.verdict(part) for part in expression.parts)
        if isinstance(expression, Or):
            return _flip(_all(_flip(self.verdict(part)) for part in expression.parts))
        if isinstance(expression, Not):
            return _flip(self.verdict(expression.part))
        if isinstance(expression, Missing):
            known = self._known(expression.attribute.name)
            return np.logical_not(known), known
        if isinstance(expression, Membership):
            return self._member(expression)
        return self._compared(expression)

    def _compared(self, comparison: Comparison) -> Verdict:
        if NUMBER in (kind_of(comparison.left), kind_of(comparison.right)):
            left, left_known = self._number(comparison.left)
            right, right_known = self._number(comparison.right)
            is_true = _COMPARE[comparison.operator](left, right)
            return _verdict(is_true, np.logical_and(left_known, right_known))
        wanted = self._wanted(comparison.right)
        if wanted is None or not isinstance(comparison.left, Attribute):
            return False, False
        known = self._known(comparison.left.name)
        verdict = _verdict(self._equals(comparison.left.name, (wanted,)), known)
        return verdict if comparison.operator == "=" else _flip(verdict)

    def _member(self, membership: Membership) -> Verdict:
        name, values = membership.attribute.name, [each.value for each in membership.values]
        if kind_of(membership.attribute) == NUMBER:
            number, known = self._number(membership.attribute)
            wanted = [_float32(float(value)) for value in values]
            return _verdict(np.isin(number, wanted), known)
        return _verdict(self._equals(name, tuple(values)), self._known(name))

    def _wanted(self, operand: Operand) -> str | float | bool | None:
        if isinstance(operand, Literal):
            return operand.value
        assert isinstance(operand, Attribute)  # noqa: S101 - the parser lets nothing else through
        return context_value(operand.name, self.query, self.catalogue)

    def _number(self, operand: Operand) -> tuple[Any, Truth]:
        """Value in float32, and whether it is known."""
        if isinstance(operand, Literal):
            return _float32(float(operand.value)), True
        if isinstance(operand, Product):
            value, known = self._number(operand.attribute)
            with np.errstate(over="ignore"):
                return _float32(np.float64(operand.factor) * value), known
        if operand.name in CONTEXT_ATTRIBUTES:
            found = context_value(operand.name, self.query, self.catalogue)
            return _float32(float(found or 0.0)), found is not None
        price = self._column(self.catalogue.item_price)
        return price, price != UNKNOWN_PRICE

    def _known(self, name: str) -> Truth:
        catalogue = self.catalogue
        if name in CONTEXT_ATTRIBUTES:
            return context_value(name, self.query, catalogue) is not None
        if name == "price":
            return self._column(catalogue.item_price) != UNKNOWN_PRICE
        if name in ("brand", "category"):
            codes = catalogue.item_brand if name == "brand" else catalogue.item_category
            return self._column(codes) != NO_CATEGORY
        if name == "title":
            return self._column(np.diff(catalogue.titles.offsets)) > 0
        return True

    def _equals(self, name: str, wanted: tuple[object, ...]) -> Truth:
        """Whether an attribute that is no number equals one of some values."""
        if name in CONTEXT_ATTRIBUTES:
            own = context_value(name, self.query, self.catalogue)
            if CONTEXT_ATTRIBUTES[name] == CATEGORY:
                return any(_lies_within(own, value) for value in wanted)
            return own in wanted
        catalogue = self.catalogue
        if name == "available":
            available = self._column(catalogue.item_available)
            return np.isin(available, [bool(value) for value in wanted])
        texts = [str(value) for value in wanted]
        if name == "brand":
            return np.isin(self._column(catalogue.item_brand), catalogue.brands.indices(texts))
        found = np.zeros(len(catalogue), np.bool_)
        for text in texts:
            found[self._items_of(name, text)] = True
        return self._column(found)

    def _items_of(self, name: str, text: str) -> Any:
        if name == "category":
            return self.catalogue.in_category(text)
        if name == "item_id":
            return self.catalogue.ids.indices((text,))
        return self.catalogue.titles.positions(text)

    def _column(self, values: Any) -> Any:
        return values if self.rows is None else values[self.rows]


def _verdict(is_true: Truth, known: Truth) -> Verdict:
    return np.logical_and(is_true, known), np.logical_and(np.logical_not(is_true), known)


def _flip(verdict: Verdict) -> Verdict:
    return verdict[1], verdict[0]


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    return reduce(lambda one, other: (one[0] & other[0], one[1] | other[1]), verdicts)


def _float32(value: Any) -> Any:
    return np.clip(value, -_LARGEST, _LARGEST).astype(np.float32)


def _lies_within(own: object, wanted: object) -> bool:
    return own == wanted or str(own).startswith(f"{wanted}/")
