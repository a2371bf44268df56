"""Shoppers follow suggestions where to go, if these lead to what they need."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from recommender.terms import SEARCH, SELECT_PROMOTION
from tests.training.simulation.shops import EAGER, PLENTY, Ran, run_shop, spec_of
from training.simulation.recommenders import PageContext, RandomRecommender, Suggestion
from training.simulation.shop import Shop
from training.simulation.truth import Truth
from training.simulation.ways import ShownWays, SuggestedWay

SPEC = spec_of(shoppers=400, days=3, behaviour=EAGER, stock=PLENTY)
SHOP = Shop(SPEC, np.random.default_rng(7))
LISTS = RandomRecommender(SHOP.catalogue.item_ids, seed=1)


@dataclass
class Guide:
    """The same lists as ever; above them, at places of a kind, a way."""

    kind: str
    is_true: bool
    position: int = 1
    truth: Truth | None = field(default=None)

    def __call__(self, context: PageContext) -> Suggestion:
        number = f"{context.session_id}@{context.at}"
        return Suggestion(LISTS(context), number, self._way(context))

    def _way(self, context: PageContext) -> SuggestedWay:
        if self.kind == "checkout":
            return SuggestedWay("checkout", None, self.position)
        assert self.truth is not None
        path = self.truth.need_category(context.session_id) if self.is_true else "no/such/place"
        if self.kind == "category":
            return SuggestedWay("category", path, self.position)
        nouns = {leaf.path: leaf.noun for leaf in SHOP.catalogue.leaves}
        return SuggestedWay("search", nouns.get(path, "nothing").lower(), self.position)


def run_with(guide: Guide) -> Ran:
    shop = Shop(SPEC, np.random.default_rng(7), guide)
    guide.truth = Truth(shop)
    return Ran(shop, list(shop.days()))


@pytest.fixture(scope="module")
def unaided() -> Ran:
    return run_shop(SPEC, 7, LISTS)


def followed(ran: Ran) -> int:
    return int((ran.rows["event_type"] == SELECT_PROMOTION).sum())


@pytest.mark.parametrize("kind", ["category", "search"])
def test_the_way_to_what_is_needed_is_followed_and_helps(kind: str, unaided: Ran) -> None:
    guided = run_with(Guide(kind, is_true=True))
    assert followed(guided) > 50
    assert len(guided.orders) > len(unaided.orders)
    if kind == "search":
        searches = [int((ran.rows["event_type"] == SEARCH).sum()) for ran in (guided, unaided)]
        assert searches[0] > searches[1]


def test_a_way_lower_down_is_followed_less() -> None:
    top, low = (followed(run_with(Guide("category", True, position))) for position in (1, 6))
    assert low < top


def test_the_way_to_the_checkout_is_for_those_who_have_what_they_want() -> None:
    guided = run_with(Guide("checkout", is_true=True))
    assert followed(guided) > 0


def test_a_way_that_the_shop_does_not_know_changes_nothing(unaided: Ran) -> None:
    lost = run_with(Guide("category", is_true=False))
    assert followed(lost) == 0
    columns = ["ts", "event_type", "item_id", "visitor_id"]
    assert lost.rows.select(columns).equals(unaided.rows.select(columns))


def test_items_below_a_way_stand_one_lower() -> None:
    path = SHOP.catalogue.leaves[0].path
    shown = ShownWays.of([None, SuggestedWay("category", path, 2)], SHOP.catalogue)
    assert shown is not None
    position = np.array([1, 2, 3, 1, 2], np.int32)
    in_slate = np.array([True, True, True, False, False])
    assert shown.positions(position, in_slate).tolist() == [[1, 2, 3, 1, 2], [1, 3, 4, 1, 2]]
    assert ShownWays.of([None, SuggestedWay("search", "unheard of", 1)], SHOP.catalogue) is None
