"""From text to a filter: recursive descent over the grammar of ``docs/rules.md``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from recommender.filters.expression import (
    ATTRIBUTES,
    CATEGORY,
    CONTEXT_ATTRIBUTES,
    ITEM_ATTRIBUTES,
    NUMBER,
    OPERATORS,
    TEXT,
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
    kind_of,
)
from recommender.filters.tokens import END, NUMERAL, STRING, SYMBOL, WORD, Token, fault, tokens_of

MAX_DEPTH = 32
MAX_VALUES = 100
_EQUALITIES = ("=", "!=")
_TRUTHS = {"true": True, "false": False}
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "missing", *_TRUTHS})


@lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """A filter over items and the question.

    Raises
    ------
    InvalidInputError
        Says the character, what was found there, and what would be accepted.
    """
    return _Parser(text, ATTRIBUTES).whole()


@lru_cache(maxsize=256)
def parse_context(text: str) -> Expression:
    """A filter over the question alone, for ``when``. Raises `InvalidInputError`."""
    return _Parser(text, CONTEXT_ATTRIBUTES).whole()


class _Parser:
    def __init__(self, text: str, attributes: Mapping[str, str]) -> None:
        self._tokens = tokens_of(text)
        self._attributes = attributes
        self._next = next(self._tokens)

    def whole(self) -> Expression:
        expression = self._any(0)
        if self._next.kind != END:
            raise self._unexpected("and, or, or the end")
        return expression

    def _any(self, depth: int) -> Expression:
        parts = self._chain("or", lambda: self._all(depth))
        return parts[0] if len(parts) == 1 else Or(parts)

    def _all(self, depth: int) -> Expression:
        parts = self._chain("and", lambda: self._negation(depth))
        return parts[0] if len(parts) == 1 else And(parts)

    def _chain(self, word: str, part: Callable[[], Expression]) -> tuple[Expression, ...]:
        parts = [part()]
        while self._take_word(word):
            parts.append(part())
        return tuple(parts)

    def _negation(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise fault(self._next.position, "nested too deeply", f"up to {MAX_DEPTH} levels")
        if self._take_word("not"):
            return Not(self._negation(depth + 1))
        if not self._take_symbol("("):
            return self._condition()
        inside = self._any(depth + 1)
        self._expect(")", "and, or, or )")
        return inside

    def _condition(self) -> Expression:
        begin = self._next
        left = self._operand()
        if self._take_word("is"):
            if not self._take_word("missing"):
                raise self._unexpected("missing")
            return Missing(self._attribute_alone(left, begin))
        if self._take_word("in"):
            return self._membership(self._attribute_alone(left, begin))
        operator = self._next
        if operator.text not in OPERATORS:
            raise self._unexpected("= != < <= > >=, in (…), or is missing")
        self._advance()
        right_at = self._next
        return _compared(left, operator, self._operand(), begin, right_at)

    def _membership(self, attribute: Attribute) -> Membership:
        self._expect("(", "( and a list of values")
        values = [self._member(attribute)]
        while self._take_symbol(","):
            if len(values) == MAX_VALUES:
                raise fault(self._next.position, "one value too many", f"up to {MAX_VALUES} values")
            values.append(self._member(attribute))
        self._expect(")", "a comma or )")
        return Membership(attribute, tuple(values))

    def _member(self, attribute: Attribute) -> Literal:
        begin, value = self._next, self._operand()
        wanted = _literal_kind(kind_of(attribute))
        if not isinstance(value, Literal) or kind_of(value) != wanted:
            raise fault(begin.position, f"found {begin.shown}", f"a {wanted}, as {attribute} is")
        return value

    def _operand(self) -> Operand:
        token = self._next
        if token.kind == STRING:
            self._advance()
            return Literal(token.string)
        if token.kind == NUMERAL:
            self._advance()
            number = float(token.text)
            return Product(number, self._factor()) if self._take_symbol("*") else Literal(number)
        if token.kind == WORD and token.text.lower() in _TRUTHS:
            self._advance()
            return Literal(_TRUTHS[token.text.lower()])
        attribute = self._attribute()
        if kind_of(attribute) == NUMBER and self._take_symbol("*"):
            factor = self._next
            if factor.kind != NUMERAL:
                raise self._unexpected("a number")
            self._advance()
            return Product(float(factor.text), attribute)
        return attribute

    def _factor(self) -> Attribute:
        begin, attribute = self._next, self._attribute()
        if kind_of(attribute) != NUMBER:
            raise fault(begin.position, f"{begin.shown} is no number", self._names(NUMBER))
        return attribute

    def _attribute(self) -> Attribute:
        token = self._next
        if token.kind != WORD or token.text.lower() in _KEYWORDS:
            raise self._unexpected("an attribute, a number, a text in double quotes, not, or (")
        if token.text not in self._attributes:
            known = token.text in ITEM_ATTRIBUTES
            found = f"{token.shown} is {'of an item' if known else 'no attribute'}"
            raise fault(token.position, found, self._names())
        self._advance()
        return Attribute(token.text)

    def _attribute_alone(self, operand: Operand, begin: Token) -> Attribute:
        if not isinstance(operand, Attribute):
            raise fault(begin.position, f"found {begin.shown}", f"an attribute: {self._names()}")
        return operand

    def _names(self, kind: str | None = None) -> str:
        return ", ".join(name for name, each in self._attributes.items() if kind in (None, each))

    def _take_word(self, word: str) -> bool:
        return self._take(self._next.kind == WORD and self._next.text.lower() == word)

    def _take_symbol(self, symbol: str) -> bool:
        return self._take(self._next.kind == SYMBOL and self._next.text == symbol)

    def _take(self, is_there: bool) -> bool:  # noqa: FBT001 - said by its two callers above
        if is_there:
            self._advance()
        return is_there

    def _expect(self, symbol: str, accepted: str) -> None:
        if not self._take_symbol(symbol):
            raise self._unexpected(accepted)

    def _advance(self) -> None:
        self._next = next(self._tokens)

    def _unexpected(self, accepted: str) -> Exception:
        return fault(self._next.position, f"found {self._next.shown}", accepted)


def _compared(
    left: Operand, operator: Token, right: Operand, begin: Token, right_at: Token
) -> Comparison:
    """A comparison whose two sides are of kinds that can be compared so."""
    kind = kind_of(left)
    if isinstance(left, Literal) and kind != NUMBER:
        raise fault(begin.position, f"found {begin.shown}", "an attribute on the left")
    if operator.text not in _EQUALITIES and kind != NUMBER:
        found = f"{begin.shown} is a {kind}, which has no order"
        raise fault(operator.position, found, "= or !=, or in (…)")
    is_plain = isinstance(right, Attribute) and right.name in ITEM_ATTRIBUTES
    if kind_of(right) not in (kind, _literal_kind(kind)) or (is_plain and kind != NUMBER):
        found = f"found {right_at.shown}, which is a {kind_of(right)}"
        accepted = kind if kind == NUMBER else f"{kind}, written out or of the context"
        raise fault(right_at.position, found, f"a {accepted}")
    return Comparison(left, operator.text, right)


def _literal_kind(kind: str) -> str:
    return TEXT if kind == CATEGORY else kind
