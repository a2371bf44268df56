from __future__ import annotations

import pytest

from recommender.terms import PURCHASE, VIEW_ITEM
from tests.training.known import Row, known
from training.models.purchase_interval import LEAST_INTERVALS, usual_interval

DAY_SECONDS = 86_400


def regulars(shoppers: int, *days: float) -> list[Row]:
    return [(shopper, 0, PURCHASE, day) for shopper in range(shoppers) for day in days]


def test_the_median_of_all_intervals_of_the_same_shopper() -> None:
    rows = [*regulars(15, 0, 10, 30), (99, 0, PURCHASE, 50), (98, 0, VIEW_ITEM, 1)]
    found = usual_interval(known(rows, 1))
    assert found.tolist() == [pytest.approx(15 * DAY_SECONDS)]


def test_lines_of_one_purchase_are_no_interval() -> None:
    rows = regulars(30, 0, 0.01, 0.02, 7)
    assert usual_interval(known(rows, 1)).item() == pytest.approx(6.98 * DAY_SECONDS, rel=1e-4)


def test_few_repeats_say_nothing() -> None:
    assert not len(usual_interval(known(regulars(LEAST_INTERVALS - 1, 0, 10), 1)))
    assert len(usual_interval(known(regulars(LEAST_INTERVALS, 0, 10), 1)))
    assert not len(usual_interval(known([], 1)))
