"""A filter as a tree, the attributes that it may name, and its text.

``str(expression)`` is text of the language again, and parsing it gives an equal tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

TEXT, CATEGORY, NUMBER, FLAG = "text", "category", "number", "true or false"

ITEM_ATTRIBUTES: Final[Mapping[str, str]] = {
    "item_id": TEXT,
    "title": TEXT,
    "category": CATEGORY,
    "brand": TEXT,
    "price": NUMBER,
    "available": FLAG,
}
CONTEXT_ATTRIBUTES: Final[Mapping[str, str]] = {
    "context.item_id": TEXT,
    "context.category": CATEGORY,
    "context.brand": TEXT,
    "context.price": NUMBER,
    "context.page_type": TEXT,
    "context.device": TEXT,
    "context.locale": TEXT,
    "context.currency": TEXT,
    "cart.size": NUMBER,
    "cart.value": NUMBER,
    "cart.price": NUMBER,
}
ATTRIBUTES: Final[Mapping[str, str]] = {**ITEM_ATTRIBUTES, **CONTEXT_ATTRIBUTES}
OPERATORS: Final = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name of `ATTRIBUTES`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number or a truth value."""

    value: str | float | bool

    def __str__(self) -> str:
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, str):
            return '"' + self.value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return repr(float(self.value))


@dataclass(frozen=True, slots=True)
class Product:
    """A number times an attribute that is a number."""

    factor: float
    attribute: Attribute

    def __str__(self) -> str:
        return f"{float(self.factor)!r} * {self.attribute}"


Operand: TypeAlias = Attribute | Literal | Product


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands of one kind and what is to hold between them, one of `OPERATORS`."""

    left: Operand
    operator: str
    right: Operand

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


@dataclass(frozen=True, slots=True)
class Membership:
    """An attribute that is to equal one of some literals."""

    attribute: Attribute
    values: tuple[Literal, ...]

    def __str__(self) -> str:
        return f"{self.attribute} in ({', '.join(map(str, self.values))})"


@dataclass(frozen=True, slots=True)
class Missing:
    """An attribute that is to be unknown."""

    attribute: Attribute

    def __str__(self) -> str:
        return f"{self.attribute} is missing"


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary."""

    part: Expression

    def __str__(self) -> str:
        return f"not {_bracketed(self.part)}"


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " and ".join(map(_bracketed, self.parts))


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " or ".join(map(_bracketed, self.parts))


Expression: TypeAlias = Comparison | Membership | Missing | Not | And | Or


def kind_of(operand: Operand) -> str:
    """What an operand is: `TEXT`, `CATEGORY`, `NUMBER` or `FLAG`."""
    if isinstance(operand, Attribute):
        return ATTRIBUTES[operand.name]
    if isinstance(operand, Product):
        return NUMBER
    if isinstance(operand.value, bool):
        return FLAG
    return TEXT if isinstance(operand.value, str) else NUMBER


def attributes_of(expression: Expression) -> Iterator[str]:
    """Names of all attributes that an expression looks at."""
    if isinstance(expression, And | Or):
        for part in expression.parts:
            yield from attributes_of(part)
    elif isinstance(expression, Not):
        yield from attributes_of(expression.part)
    elif isinstance(expression, Comparison):
        for operand in (expression.left, expression.right):
            named = operand.attribute if isinstance(operand, Product) else operand
            if isinstance(named, Attribute):
                yield named.name
    else:
        yield expression.attribute.name


def _bracketed(part: Expression) -> str:
    return f"({part})" if isinstance(part, And | Or) else str(part)
