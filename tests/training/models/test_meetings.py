from __future__ import annotations

import numpy as np
import pytest

from recommender.terms import PURCHASE, VIEW_ITEM
from tests.training.known import Row, known
from training.models.meetings import PairLifts, pair_lifts
from training.sections import PairsSpec

# Items 0 and 1 are cameras (category 0), 2 and 3 are cards (category 1), 4 has no category.
CATEGORY = np.array([0, 0, 1, 1, -1], np.int32)
FEW = PairsSpec(prior=2, min_pairs=1)


def shop() -> list[Row]:
    """Cameras are compared, a camera and a card are bought together."""
    rows: list[Row] = []
    for shopper in range(20):
        day = shopper / 2
        rows += [(shopper, item, VIEW_ITEM, day + n / 1e4) for n, item in enumerate((0, 1, 2))]
        if shopper % 2:
            rows += [(shopper, item, PURCHASE, day + 0.001) for item in (0, 2)]
    return rows


def lift(found: PairLifts, one: int, other: int) -> float:
    (place,) = np.flatnonzero(found.idx[one] == other)
    return float(found.lift[one, place])


def test_compared_items_are_below_one_and_combined_ones_above() -> None:
    found = pair_lifts(known(shop(), 5), CATEGORY, 2, FEW)
    assert found is not None
    assert lift(found, 0, 1) < 1 < lift(found, 0, 2)
    assert lift(found, 0, 1) == lift(found, 1, 0)
    assert found.category[0].tolist() == [0, 1]
    assert found.category_lift[0, 0] < 1 < found.category_lift[0, 1]
    assert found.idx[3].tolist() == [-1] * found.idx.shape[1]


def test_the_formula_by_hand() -> None:
    found = pair_lifts(known(shop(), 5), CATEGORY, 2, FEW)
    assert found is not None
    # 60 pairs viewed (0-1, 0-2, 1-2: 20 visits each), 10 bought (0-2): t = 1/7.
    t, prior = 1 / 7, 2.0
    across = (2 * 10 + prior * t) / (2 * 10 + 2 * 40 + prior)
    of_categories = (10 + prior * across) / (10 + 40 + prior)
    expected = (10 + prior * of_categories) / (10 + 20 + prior) / t
    assert lift(found, 0, 2) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("event_type", [VIEW_ITEM, PURCHASE])
def test_a_log_of_one_sort_says_nothing_about_pairs(event_type: str) -> None:
    rows = [row for row in shop() if row[2] == event_type]
    assert pair_lifts(known(rows, 5), CATEGORY, 2, FEW) is None


def test_items_without_category_count_as_others() -> None:
    rows = [*shop(), *((50 + n, item, VIEW_ITEM, 1.0) for n in range(5) for item in (0, 4))]
    found = pair_lifts(known(rows, 5), CATEGORY, 2, FEW)
    assert found is not None
    assert lift(found, 4, 0) > 0


def test_only_the_first_items_of_a_long_visit_are_paired() -> None:
    found = pair_lifts(known(shop(), 5), CATEGORY, 2, PairsSpec(max_items=2, min_pairs=1))
    assert found is not None
    assert 2 not in found.idx[1]
