from __future__ import annotations

import numpy as np
import pytest

from recommender.acceptance import Acceptance
from training.evaluation.expectation import expectation_metrics
from training.models.acceptance import ShownItems

CURVES = Acceptance({"": (0.5, 0.25), "home": (0.2, 0.1)})


def shown(taken: list[int]) -> ShownItems:
    """Two places at home, one at a placement without a curve and without a decent name."""
    places = (np.array([1, 1, 0]), np.array([0, 7, 0]))
    once = np.ones(3, np.int64)
    return ShownItems(("an odd\nname", "home"), *places, once, np.array(taken, np.int64))


def test_the_gap_is_what_came_over_what_was_promised() -> None:
    found = expectation_metrics(CURVES, shown([1, 0, 1]), 0.2)
    assert found == {
        "expectation_shown": 3.0,
        "expectation_predicted": pytest.approx((0.2 + 0.1 + 0.5) / 3),
        "expectation_delivered": pytest.approx(2 / 3),
        "expectation_gap": pytest.approx(2 / 0.8 - 1),
        "expectation_within_tolerance": 0.0,
        "expectation_gap_home": pytest.approx(1 / 0.3 - 1),
    }


def test_a_row_of_many_items_counts_as_so_many_rows() -> None:
    places = (np.array([1, 0]), np.array([0, 0]))
    cells = ShownItems(("", "home"), *places, np.array([2, 3]), np.array([1, 1]))
    rows = (np.array([1, 1, 0, 0, 0]), np.zeros(5, np.int64))
    each = ShownItems(("", "home"), *rows, np.ones(5, np.int64), np.array([1, 0, 0, 1, 0]))
    found = expectation_metrics(CURVES, cells, 0.2)
    assert found == pytest.approx(expectation_metrics(CURVES, each, 0.2))
    assert found["expectation_shown"] == 5


def test_nothing_came_is_a_gap_of_all() -> None:
    assert expectation_metrics(CURVES, shown([0, 0, 0]), 0.2)["expectation_gap"] == -1


def test_a_gap_within_the_tolerance_is_none() -> None:
    found = expectation_metrics(CURVES, shown([0, 0, 1]), 0.26)
    assert found["expectation_gap"] == pytest.approx(0.25)
    assert found["expectation_within_tolerance"] == 1.0


def test_without_a_curve_or_showings_there_are_no_figures() -> None:
    assert expectation_metrics(None, shown([0, 0, 1]), 0.2) == {}
    assert expectation_metrics(CURVES, None, 0.2) == {}
