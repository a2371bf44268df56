from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.terms import ADD_TO_CART, DISMISS, PURCHASE, VIEW_ITEM
from tests.training.known import WEIGHTS, Row, known
from training.models.item_stats import STAT_NAMES, item_stats

MINUTE = 1 / 1_440
# Two visits of one shopper; the window is 100 days.
DONE: list[Row] = [
    (0, 0, VIEW_ITEM, 50.0),
    (0, 0, VIEW_ITEM, 50.0 + MINUTE),  # repeated, returned
    (0, 1, VIEW_ITEM, 50.0 + 2 * MINUTE),
    (0, 0, ADD_TO_CART, 50.0 + 3 * MINUTE),  # returned, ended, carted
    (0, 0, DISMISS, 50.0 + 4 * MINUTE),  # no interest
    (0, 1, PURCHASE, 90.0),  # ended, bought
]


def figures(done: list[Row], items: int = 3) -> dict[str, np.ndarray]:
    found = item_stats(known(done, items), WEIGHTS)
    assert found.shape == (items, len(STAT_NAMES))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    return dict(zip(STAT_NAMES, found.T, strict=True))


def test_figures_of_two_visits() -> None:
    found = figures(DONE)
    prior = 3
    expected = {
        "common": [math.log(4), math.log(3), 0],
        "repeated": [1 / (3 + prior), 0, 0],
        "returned": [2 / (3 + prior), 0, 0],
        "ended": [1 / (3 + prior), 1 / (2 + prior), 0],
        "carted": [1 / (3 + prior), 0, 0],
        "bought": [0, 1 / (2 + prior), 0],
    }
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-6), name


def test_what_is_late_counts_by_its_age_in_parts_of_the_window() -> None:
    found = figures(DONE)
    # Item 1: ages of 50 and of 10 of 100 days; half-lives of a tenth and of a fiftieth of it.
    late, latest = 2**-5 + 2**-1, 2**-25 + 2**-5
    assert found["late"][1] == pytest.approx(math.log1p(late), abs=1e-4)
    assert found["latest"][1] == pytest.approx(math.log1p(latest), abs=1e-4)
    assert found["late_share"][1] == pytest.approx(late / 5, abs=1e-4)
    assert found["latest_share"][1] == pytest.approx(latest / (late + 3), abs=1e-4)
    assert found["young"] == pytest.approx([0.5, 0.5, 1], abs=1e-4)


def test_another_shopper_does_not_repeat_what_the_one_before_did_last() -> None:
    found = figures([(0, 0, VIEW_ITEM, 5.0), (1, 0, VIEW_ITEM, 5.0 + MINUTE)])
    assert found["repeated"][0] == found["returned"][0] == 0
    assert found["ended"][0] == pytest.approx(2 / 5)


def test_an_empty_log_has_figures_for_each_item() -> None:
    assert not figures([])["common"].any()
