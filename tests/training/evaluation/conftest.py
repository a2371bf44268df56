from __future__ import annotations

import pytest

from recommender.bundle import ModelBundle
from recommender.placements import Placement
from recommender.query import Interaction, Query
from recommender.terms import PURCHASE, VIEW_ITEM
from tests.bundles import AT, AT_MICROS, MINUTE, shop_arrays, shop_info
from training.engine import Period
from training.evaluation.offline import evaluate
from training.evaluation.report import EvaluationReport
from training.fitting import Fitted
from training.sections import EvaluationSpec
from training.split import HoldOut

NEXT = Placement("next", exclude=("dismissed",), candidates=20)
SPEC = EvaluationSpec(k=(1, 3, 5), bootstrap_rounds=200)


def shopper(item_numbers: list[int]) -> Query:
    """A query of somebody who bought these items, one a minute, long ago enough to be history."""
    past = [
        Interaction(f"item-{n:02d}", PURCHASE, AT_MICROS - (100 - position) * MINUTE)
        for position, n in enumerate(item_numbers)
    ]
    viewed = [Interaction(past[-1].item_id, VIEW_ITEM, AT_MICROS - MINUTE)] if past else []
    return Query(at=AT, placement="next", limit=5, history=(*past, *viewed))


@pytest.fixture
def bundle() -> ModelBundle:
    return Fitted(shop_arrays(), shop_info()).bundle()


@pytest.fixture
def hold_out() -> HoldOut:
    """Three garden shoppers, a kitchen shopper, a stranger; one target the model cannot know."""
    wanted = [{"item-00", "item-02"}, {"item-04"}, {"item-10", "nowhere"}, {"item-01"}, {"item-00"}]
    queries = (shopper([2, 4]), shopper([6]), shopper([8, 10]), shopper([3, 5]), shopper([]))
    return HoldOut(
        Period(AT_MICROS, AT_MICROS + 7 * 24 * 60 * MINUTE),
        queries,
        tuple(frozenset(each) for each in wanted),
        tuple("abcde"),
        6,
        "at_cut",
    )


@pytest.fixture
def report(bundle: ModelBundle, hold_out: HoldOut) -> EvaluationReport:
    return evaluate(bundle, hold_out, NEXT, SPEC)
