from __future__ import annotations

import numpy as np
import pytest

from recommender.terms import PURCHASE, VIEW_ITEM
from tests.training.known import known
from training.models.buy_again import Repeats, demand, repeat_intervals, rest_days

COFFEE, SOFA, TEA = 0, 1, 2
CATEGORY = np.array([0, -1, 0], np.int32)


def household(seed: int = 0) -> list[tuple[int, int, str, float]]:
    """300 shoppers: coffee every month or so by three of four, a sofa once."""
    rng = np.random.default_rng(seed)
    rows = []
    for shopper in range(300):
        rows.append((shopper, SOFA, PURCHASE, rng.uniform(0, 700)))
        day = rng.uniform(0, 30)
        while day < 730:
            rows.append((shopper, COFFEE, PURCHASE, day))
            if rng.random() > 0.75:
                break
            day += np.exp(rng.normal(np.log(30), 0.4))
    return rows


def test_the_rhythm_that_a_log_was_made_with_is_found() -> None:
    found = repeat_intervals(known(household(), 3, until=730), CATEGORY, 20)
    assert found.probability[COFFEE] == pytest.approx(0.75, abs=0.03)
    assert np.exp(found.log_mean[COFFEE]) == pytest.approx(30, rel=0.05)
    assert found.log_sd[COFFEE] == pytest.approx(0.4, abs=0.05)
    assert found.probability[SOFA] < 0.05


def test_an_item_without_purchases_is_taken_for_one_of_its_category() -> None:
    found = repeat_intervals(known(household(), 3, until=730), CATEGORY, 20)
    assert found.probability[TEA] == pytest.approx(found.probability[COFFEE], abs=0.02)
    assert found.probability[TEA] > found.probability[SOFA]


def test_what_the_log_is_too_short_to_show_is_not_taken_for_a_no() -> None:
    """Half of the coffee drinkers were seen once, days before the end."""
    rows = household() + [(1000 + n, COFFEE, PURCHASE, 729.0) for n in range(300)]
    found = repeat_intervals(known(rows, 3, until=730), CATEGORY, 20)
    assert found.probability[COFFEE] == pytest.approx(0.75, abs=0.03)


def test_lines_of_one_order_are_one_purchase_and_views_are_none() -> None:
    rows = [(n, COFFEE, PURCHASE, 10 + part / 1000) for n in range(9) for part in range(3)]
    rows += [(n, COFFEE, VIEW_ITEM, 50.0) for n in range(9)]
    found = repeat_intervals(known(rows, 3), CATEGORY, 20)
    assert found.seen == 0
    assert not found.probability.any()
    assert (found.log_sd > 0).all()


def test_a_log_without_purchases_has_no_repeats() -> None:
    assert repeat_intervals(known([], 3), CATEGORY, 20).seen == 0


def test_what_is_hardly_ever_bought_again_rests() -> None:
    found = Repeats(
        probability=np.array([0.9, 0.02, 0.9], np.float32),
        log_mean=np.log(np.array([14, 14, 3_000], np.float32)),
        log_sd=np.full(3, 0.5, np.float32),
        seen=100,
    )
    assert rest_days(found, 180, 0.05).tolist() == [0, 180, 180]
    assert rest_days(found, 180, 0).tolist() == [0, 0, 0]


def test_demand_is_what_sold_of_late_beside_the_best_seller() -> None:
    rows = [(shopper, 0, PURCHASE, 100.0) for shopper in range(15)]
    rows += [(shopper, 1, PURCHASE, 72.0) for shopper in range(14)]
    found = demand(known(rows, 3, until=100.0001), 28)
    assert found == pytest.approx([1, (8 / 16) ** 0.25, (1 / 16) ** 0.25], rel=1e-3)
    assert demand(known([], 2), 28).tolist() == [1, 1]
