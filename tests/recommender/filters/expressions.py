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
    TEXT,
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

WORDS = {
    "category": ("garden", "garden/tools", "garden/se", "kitchen", "attic"),
    "context.category": ("garden", "garden/tools", "kitchen"),
    "brand": ("acme", "zenith", "bolt"),
    "context.brand": ("acme", "zenith"),
    "item_id": ("item-03", "item-11", "item-99"),
    "title": ("Thing 4", "Thing 5", ""),
    "context.device": ("phone", "desktop"),
}
odd = st.sampled_from(('a "quoted" \\ word', "\n", "")) | st.text(max_size=3).filter(
    lambda text: text.isprintable()
)
numbers = st.sampled_from([0.0, 1.0, 2.0, 3.5, 9.99, -4.0, 1e38, 1e300]) | st.floats(-30, 30)


def named(*kinds: str, among: object = ATTRIBUTES) -> st.SearchStrategy[Attribute]:
    return st.sampled_from([Attribute(n) for n, kind in among.items() if kind in kinds])  # type: ignore[attr-defined]


def literal(attribute: Attribute) -> st.SearchStrategy[Literal]:
    kind = ATTRIBUTES[attribute.name]
    known = WORDS.get(attribute.name)
    texts = st.sampled_from(known) | st.sampled_from(known) | odd if known else odd
    return {NUMBER: numbers, FLAG: st.booleans()}.get(kind, texts).map(Literal)


operands = st.one_of(
    named(NUMBER, among={"price": NUMBER}),
    named(NUMBER),
    numbers.map(Literal),
    st.builds(Product, numbers, named(NUMBER)),
)
number_comparisons = st.builds(Comparison, operands, st.sampled_from(OPERATORS), operands)


@st.composite
def comparisons(draw: st.DrawFn) -> Expression:
    attribute = draw(named(TEXT, CATEGORY, FLAG))
    kind = ATTRIBUTES[attribute.name]
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
    return st.one_of(several.map(And), several.map(Or), parts.map(Not))


leaves = st.one_of(
    number_comparisons, comparisons(), memberships(), named(*ATTRIBUTES.values()).map(Missing)
)
expressions = st.recursive(leaves, joined, max_leaves=8)
