from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.catalogue import Catalogue, catalogue_arrays
from recommender.errors import InvalidInputError
from recommender.filters.conditions import filter_expression
from recommender.filters.evaluation import asked_of, holds, is_fixed, matching
from recommender.filters.expression import CONTEXT_ATTRIBUTES, Expression
from recommender.filters.parser import MAX_DEPTH, MAX_VALUES, parse, parse_context
from recommender.personalisation import permitted
from recommender.placements import Placement
from recommender.query import Query
from tests.bundles import AT, shop_items
from tests.recommender.filters.expressions import expressions
from tests.recommender.filters.naive import truth


def shop() -> Catalogue:
    """The known-answer shop, in which some items lack what others have."""
    items = shop_items()
    items[5] = replace(items[5], brand=None)
    items[6] = replace(items[6], category=None)
    items[7] = replace(items[7], title="", price=9.99)
    arrays = catalogue_arrays(items, np.linspace(10, 1, 20).astype(np.float32))
    return Catalogue.from_arrays(arrays)


SHOP = shop()
PAGE = Query(AT, "item", context_items=("item-04", "item-05"), cart_items=("item-01", "item-03"))


def found(text: str, query: Query = PAGE) -> set[int]:
    return set(np.flatnonzero(matching(parse(text), query, SHOP)).tolist())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('brand = "zenith"', set(range(10, 20))),
        ('brand != "acme"', set(range(10, 20))),
        ('not brand = "acme"', set(range(10, 20))),
        ("brand is missing", {5}),
        ('category = "garden/tools"', {0, 4, 8, 12, 16}),
        ('category != "kitchen"', set(range(0, 20, 2)) - {6}),
        ('category in ("kitchen", "garden/tools") and price <= 5', {1, 3, 4}),
        ('category = "garden" AND NOT price > 5', {2, 4}),
        ("price = 9.99", {7}),
        ("price in (9.99, 3)", {2, 7}),
        ("price is missing", {0}),
        ("price < 4 or price is missing", {0, 1, 2}),
        ("2 * price < 1.5 * context.price", {1, 2}),
        ("price * 2 < 7.5", {1, 2}),
        ("5 > price", {1, 2, 3}),
        ("available = false", {19}),
        ('item_id in ("item-03", "nothing")', {3}),
        ('title = "Thing 4"', {4}),
        ("title is missing", {7}),
        ("category = context.category and brand = context.brand", {0, 4, 8}),
        ("item_id != context.item_id and price = context.price", set()),
        ("cart.size = 2 and cart.value = 6 and cart.price = 3 and price = 3", {2}),
        ('context.device = "phone"', set()),
        ('not context.device = "phone"', set()),
        ("context.device is missing and price > 18", {19, 18}),
        ("price < 1e300 and price > -1e300 and price > 18.5", {18, 19}),
        ('(brand = "acme" or price > 19) and not (category = "kitchen")', {0, 2, 4, 8}),
    ],
)
def test_what_a_filter_finds(text: str, expected: set[int]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 1, "the end"),
        ("PRICE = 3", 1, "'PRICE' is no attribute"),
        ("colour = 3", 1, "'colour' is no attribute; accepted: item_id, title"),
        ('brand = "acme', 9, "not closed"),
        ('brand = "a\\nb"', 9, "not closed"),
        ("price < ", 9, "the end"),
        ('price < "3"', 9, "which is a text; accepted: a number"),
        ("brand = 3", 9, "which is a number; accepted: a text"),
        ('brand < "a"', 7, "no order"),
        ("category >= context.category", 10, "no order"),
        ("brand = title", 9, "written out or of the context"),
        ('"acme" = brand', 1, "on the left"),
        ("price = 1e999", 9, "finite"),
        ("price ~ 3", 7, "found '~'"),
        ("price = 3 price", 11, "and, or, or the end"),
        ("(price = 3", 11, "and, or, or )"),
        ("price is brand", 10, "missing"),
        ("3 is missing", 1, "an attribute"),
        ("price in 3", 10, "list of values"),
        ("price in ()", 11, "an attribute, a number"),
        ('price in (3, "4")', 14, "a number, as price is"),
        ("brand * 2 = 3", 7, "found '*'"),
        ("2 * brand = 3", 5, "price"),
        ("price * brand = 3", 9, "a number"),
        ("available = 1", 13, "which is a number"),
        ("not", 4, "the end"),
        ("and", 1, "found 'and'"),
        ("price = 3 and or price = 4", 15, "found 'or'"),
    ],
)
def test_a_fault_is_told_with_its_place(text: str, position: int, says: str) -> None:
    with pytest.raises(InvalidInputError, match="accepted") as error:
        parse(text)
    assert f"at character {position}: " in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 3000,
        "not " * 900,
        "(" * (MAX_DEPTH + 1) + "price = 3" + ")" * (MAX_DEPTH + 1),
        "(" * 10_000 + "price = 3" + ")" * 10_000,
        f"price in ({', '.join(['3'] * (MAX_VALUES + 1))})",
        " or ".join(["price = 3"] * 400),
        '"' * 4000,
        "\x00",
        "\ud800",
    ],
)
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="accepted"):
        parse(text)


def test_as_deep_as_it_may_be() -> None:
    text = "(" * MAX_DEPTH + "price = 3" + ")" * MAX_DEPTH
    assert found(text) == {2}


def test_conditions_on_the_question_name_no_item() -> None:
    assert holds(parse_context("cart.size > 1 and context.price = 5"), PAGE, SHOP)
    with pytest.raises(InvalidInputError, match="'price' is of an item"):
        parse_context("price > 1")


def test_a_cart_takes_no_part_in_an_impersonal_answer() -> None:
    impersonal = permitted(PAGE.but(personalize="off"), Placement("p"))
    assert holds(
        parse("cart.size = 0 and cart.value = 0 and cart.price is missing"), impersonal, SHOP
    )


def test_a_cart_of_unknown_prices_has_no_value() -> None:
    unknown = PAGE.but(cart_items=("item-00", "nothing"))
    assert holds(parse("cart.size = 2 and cart.value is missing"), unknown, SHOP)


@given(expressions)
def test_text_and_tree_are_one(expression: Expression) -> None:
    assert parse(str(expression)) == expression


queries = st.builds(
    Query,
    at=st.just(AT),
    placement=st.just("item"),
    context_items=st.lists(st.sampled_from(["item-00", "item-04", "item-06", "x"]), max_size=2).map(
        tuple
    ),
    cart_items=st.lists(st.sampled_from(["item-00", "item-03", "x"]), max_size=2, unique=True).map(
        tuple
    ),
    category=st.sampled_from([None, "garden", "kitchen"]),
    device=st.sampled_from([None, "phone"]),
    personalize=st.sampled_from(["off", "light", "full"]),
)


@given(expressions, queries)
def test_all_at_once_is_one_by_one(expression: Expression, query: Query) -> None:
    expected = [truth(expression, item, query, SHOP) is True for item in range(len(SHOP))]
    assert matching(expression, query, SHOP).tolist() == expected
    rows = np.array([3, 19, 0, 6], np.int32)
    assert matching(expression, query, SHOP, rows).tolist() == [expected[row] for row in rows]


@given(expressions, queries, queries)
def test_what_is_fixed_does_not_depend_on_the_question(
    expression: Expression, one: Query, other: Query
) -> None:
    if is_fixed(expression):
        assert (matching(expression, one, SHOP) == matching(expression, other, SHOP)).all()
    else:
        assert any(name in str(expression) for name in CONTEXT_ATTRIBUTES)


@given(expressions, queries, queries)
def test_questions_that_agree_in_what_is_asked_of_them_get_the_same_items(
    expression: Expression, one: Query, other: Query
) -> None:
    asked = [asked_of(expression, query, SHOP) for query in (one, other)]
    if asked[0] == asked[1]:
        assert (matching(expression, one, SHOP) == matching(expression, other, SHOP)).all()
    assert (asked[0] == ()) is is_fixed(expression)


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"category": ["garden", "kitchen"]}, 'category in ("garden", "kitchen")'),
        ({"brand": "acme", "price": {"max": 5}}, 'brand = "acme" and price <= 5'),
        ({"price": {"min": 3}, "available": True}, "price >= 3 and available = true"),
    ],
)
def test_a_mapping_says_the_same_as_its_text(mapping: dict[str, object], text: str) -> None:
    both = [filter_expression(mapping), filter_expression(text)]
    one, other = (matching(each, PAGE, SHOP) for each in both if each)
    assert (one == other).all()


def test_no_filter_is_no_tree() -> None:
    assert filter_expression({}) is None
    with pytest.raises(InvalidInputError, match="filter: at character 1"):
        filter_expression("")
