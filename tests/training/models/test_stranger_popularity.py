from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.terms import ADD_TO_CART, PURCHASE, VIEW_ITEM
from tests.training.known import WEIGHTS, known
from training.models.stranger_popularity import stranger_popularity

HALF_LIFE_DAYS = 14


def bought(shopper: int, item: int, day: float) -> tuple[int, int, str, float]:
    return shopper, item, PURCHASE, day


def test_what_shoppers_begin_with_comes_before_what_they_come_back_for() -> None:
    begins = [bought(shopper, 0, 90) for shopper in range(4)]
    comes_back = [bought(shopper, 1, 95) for shopper in range(4)]
    found = stranger_popularity(known(begins + comes_back, 3), WEIGHTS, HALF_LIFE_DAYS)
    share = 2 ** (-5 / HALF_LIFE_DAYS)
    assert found == pytest.approx([share + 1, 1, 0])
    assert found.dtype == np.float32


def test_the_whole_first_visit_counts_and_nothing_later() -> None:
    minute = 1 / 1440
    rows = [
        (0, 0, VIEW_ITEM, 50.0),
        (0, 1, ADD_TO_CART, 50 + minute),
        (0, 2, ADD_TO_CART, 51.0),
    ]
    found = stranger_popularity(known(rows, 3), WEIGHTS, 1e9)
    assert found == pytest.approx([2 / 3, 2, 1])


def test_what_counts_nothing_begins_nothing() -> None:
    rows = [bought(0, 0, 20), bought(0, 1, 40)]
    weights = WEIGHTS.copy()
    whole = known(rows, 2)
    later = replace(whole, event_code=np.array([0, whole.event_code[1]], np.int32))
    weights[0] = 0.0
    assert stranger_popularity(later, weights, HALF_LIFE_DAYS) == pytest.approx([0, 2])


def test_a_log_without_events_tells_no_item_from_another() -> None:
    assert stranger_popularity(known([], 3), WEIGHTS, HALF_LIFE_DAYS).tolist() == [0, 0, 0]
