from __future__ import annotations

import numpy as np
import pytest

from recommender.ids import StringArray
from recommender.terms import ADD_TO_CART, PURCHASE, REMOVE_FROM_CART, VIEW_ITEM
from tests.training.known import Row, known
from training.models.moments import Searches
from training.models.navigation import learn_ways
from training.models.popularity import MICROS_PER_DAY
from training.sections import NavigationSpec

# Items 0 and 1 are of category 0, item 2 of category 1.
CATEGORY = np.array([0, 0, 1], np.int32)
SPEC = NavigationSpec(decay=0.5, prior=1e-3, min_purchases=1)
MINUTE = 1 / 1440
NOBODY = Searches.none()


def visit(shopper: int, *acts: tuple[int, str], day: float = 1.0) -> list[Row]:
    return [(shopper, item, act, day + n * MINUTE) for n, (item, act) in enumerate(acts)]


BUYING = ((0, VIEW_ITEM), (2, VIEW_ITEM), (2, ADD_TO_CART), (2, PURCHASE))
LOOKING = ((0, VIEW_ITEM), (1, VIEW_ITEM))


def ways(
    rows: list[Row], searches: Searches = NOBODY, spec: NavigationSpec = SPEC
) -> dict[str, np.ndarray]:
    return learn_ways(known(rows, 3), CATEGORY, 2, searches, spec)  # type: ignore[return-value]


def test_the_worth_of_a_category_by_hand() -> None:
    rows = [*visit(0, *BUYING), *visit(1, *LOOKING)]
    found = ways(rows)
    # After item 0 (twice) and item 1 (once): of three moments one goes to item 2 and buys two
    # steps later; a category page between is one more.
    empty = 2 * 0
    assert found["way_category"][empty, 0] == 1
    assert found["way_category_worth"][empty, 0] == pytest.approx(0.5**3 / 3, rel=1e-2)
    assert found["way_item_worth"][empty, 0] == pytest.approx(0.5**2 / 3, rel=1e-2)
    # With item 2 in the cart the only moment is followed by its purchase.
    assert found["way_checkout_worth"][2 * 1 + 1] == pytest.approx(1, rel=1e-2)
    assert found["way_checkout_worth"][::2].tolist() == [0, 0, 0]


def test_the_beginning_of_a_visit_is_a_moment_and_remembers_a_week() -> None:
    rows = [*visit(0, (0, VIEW_ITEM)), *visit(0, *BUYING[1:], day=3.0)]
    start = 2 * 2
    found = ways(rows)
    assert found["way_category"][0, 0] == 1
    assert found["way_category_worth"][0, 0] > 0
    late = ways([*visit(0, (0, VIEW_ITEM)), *visit(0, *BUYING[1:], day=30.0)])
    assert late["way_category"][start, 0] == 1
    assert late["way_category_worth"][start, 0] > 0


def test_removing_empties_the_cart_and_so_does_buying() -> None:
    removed = ((2, ADD_TO_CART), (2, REMOVE_FROM_CART), (2, VIEW_ITEM), (2, PURCHASE))
    rows = [*visit(0, *BUYING), *visit(1, *removed)]
    assert ways(rows)["way_checkout_worth"][3] == pytest.approx(0.5, rel=1e-2)
    spec = NavigationSpec(prior=1e-3, min_purchases=2)
    assert ways(rows, spec=spec) == {}
    # After the purchase the cart is empty: looking on and leaving is no refusal to check out.
    looking_on = visit(0, *BUYING, (1, VIEW_ITEM))
    assert ways(looking_on)["way_checkout_worth"][1] == pytest.approx(1, rel=1e-2)


def searched(shoppers: int, term: str, before: int = 1) -> Searches:
    """Everybody searches after `before` acts."""
    ts = round((1.0 + (before - 0.5) * MINUTE) * MICROS_PER_DAY)
    numbers = np.arange(shoppers, dtype=np.int32)
    return Searches(numbers, np.full(shoppers, ts), np.array([term] * shoppers, object))


def test_terms_of_few_people_are_never_kept() -> None:
    rows = [row for shopper in range(6) for row in visit(shopper, *BUYING)]
    few = ways(rows, searched(4, "lens"))
    assert StringArray(few["term_data"], few["term_offsets"]).tolist() == []
    enough = ways(rows, searched(5, "lens"))
    assert StringArray(enough["term_data"], enough["term_offsets"]).tolist() == ["lens"]
    assert enough["way_term"][0, 0] == 0
    # 5 of 6 moments after item 0 are followed by the search, and by the purchase two steps later.
    assert enough["way_term_worth"][0, 0] == pytest.approx(5 / 6 * 0.5**3, rel=1e-2)
    four = searched(4, "lens")
    thrice = (np.repeat(part, 3) for part in (four.shopper_idx, four.ts, four.term))
    assert ways(rows, Searches(*thrice))["term_offsets"].tolist() == [0]


def test_a_log_without_purchases_out_of_a_cart_teaches_nothing() -> None:
    assert ways(visit(0, *LOOKING)) == {}
    assert ways(visit(0, (2, PURCHASE))) == {}
    assert ways([]) == {}


def test_what_is_rare_is_believed_less() -> None:
    rows = [row for shopper in range(20) for row in visit(shopper, *BUYING[1:])]
    rows += visit(99, *BUYING)
    bold, careful = (
        ways(rows, spec=NavigationSpec(decay=0.5, prior=prior, min_purchases=1))
        for prior in (1e-3, 50)
    )
    assert bold["way_category_worth"][0, 0] == pytest.approx(0.5**3, rel=1e-2)
    assert careful["way_category_worth"][0, 0] < 0.06
    assert (np.diff(careful["way_item_worth"], axis=1) <= 0).all()
