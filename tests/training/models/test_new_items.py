from __future__ import annotations

import pytest

from recommender.terms import PURCHASE, VIEW_ITEM
from tests.training.known import WEIGHTS, known
from training.models.new_items import new_items
from training.sections import NewItemsSpec

SPEC = NewItemsSpec(days=20, max_share=1, prior_days=10)


def test_worth_by_hand() -> None:
    """Item 0 is old, 1 and 2 are 10 and 5 days old, nobody has met 3 yet."""
    rows = [(0, 0, VIEW_ITEM, 0.0), (1, 0, VIEW_ITEM, 99.0)]
    rows += [(0, 1, VIEW_ITEM, 90.0), (0, 2, PURCHASE, 95.0)]
    found = new_items(known(rows, 4), WEIGHTS, SPEC)
    mean = (1 + 5) / (10 + 5)
    expected = {
        1: (1 + 10 * mean) / (10 + 10),
        2: (5 + 10 * mean) / (5 + 10),
        3: mean,
    }
    assert dict(zip(found.items.tolist(), found.scores.tolist(), strict=True)) == pytest.approx(
        expected
    )


def test_in_a_short_log_not_everything_is_new() -> None:
    rows = [(n, n, VIEW_ITEM, float(n)) for n in range(10)]
    spec = NewItemsSpec(days=20, max_share=0.2)
    assert set(new_items(known(rows, 10, until=10), WEIGHTS, spec).items.tolist()) == {8, 9}


def test_items_that_nobody_met_are_worth_the_same() -> None:
    found = new_items(known([(0, 0, VIEW_ITEM, 0.0)], 3), WEIGHTS, SPEC)
    assert found.items.tolist() == [1, 2]
    assert found.scores.tolist() == [1, 1]
