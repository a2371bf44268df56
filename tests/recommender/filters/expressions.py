"""Hypothesis strategies: filters of any shape over the known-answer shop."""

from __future__ import annotations

from hypothesis import strategies as st

from recommender.filters.expression import (
    ATTRIBUTES,
    CATEGORY,
    CONTEXT_ATTRIBUTES,
    FLAG,
    NUMBER,
    OPERATORS,
    And,
    Attribute,
    Comparison,
    Expression,
    Literal,
    Membership,
    Missing,
    Not,
    Or,
    Product,
)

WORDS = (
    *("garden", "garden/tools", "garden/se", "kitchen", "attic", "acme", "zenith", ""),
    *("item-03", "item-99", "Thing 4", "Thing 5", "phone", 'a "quoted" \\ word', "\n"),
)
texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
numbers = st.sampled_from([0.0, 1.0, 2.0, 3.5, 9.99, -4.0, 1e38, 1e300]) | st.floats(-30, 30)


def named(*kinds: str, among: object = ATTRIBUTES) -> st.SearchStrategy[Attribute]:
    return st.sampled_from([Attribute(n) for n, kind in among.items() if kind in kinds])  # type: ignore[attr-defined]


def literal(attribute: Attribute) -> st.SearchStrategy[Literal]:
    kind = ATTRIBUTES[attribute.name]
    return {NUMBER: numbers, FLAG: st.booleans()}.get(kind, texts).map(Literal)


@st.composite
def comparisons(draw: st.DrawFn) -> Expression:
    attribute = draw(named(*ATTRIBUTES.values()))
    kind = ATTRIBUTES[attribute.name]
    if kind == NUMBER:
        operands = st.one_of(
            named(NUMBER), numbers.map(Literal), st.builds(Product, numbers, named(NUMBER))
        )
        return Comparison(draw(operands), draw(st.sampled_from(OPERATORS)), draw(operands))
    right = literal(attribute)
    if any(each == kind for each in CONTEXT_ATTRIBUTES.values()):
        right |= named(kind, among=CONTEXT_ATTRIBUTES)
    return Comparison(attribute, draw(st.sampled_from(OPERATORS[:2])), draw(right))


@st.composite
def memberships(draw: st.DrawFn) -> Expression:
    attribute = draw(named(*ATTRIBUTES.values()))
    return Membership(attribute, tuple(draw(st.lists(literal(attribute), min_size=1, max_size=4))))


def joined(parts: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(parts, min_size=2, max_size=3).map(tuple)
    return parts.map(Not) | several.map(And) | several.map(Or)


leaves = comparisons() | memberships() | named(*ATTRIBUTES.values(), CATEGORY).map(Missing)
expressions = st.recursive(leaves, joined, max_leaves=8)
