from __future__ import annotations

import numpy as np
import pytest

from benchmarks.retail.baskets import Purchases
from benchmarks.retail.figures import Questions
from benchmarks.retail.repeats import FIGURE, Round, due_items, summarise, table
from training.engine import Period
from training.sections import BuyAgainSpec
from training.split import MICROS_PER_DAY

DAY = MICROS_PER_DAY
PERIOD = Period(100 * DAY, 128 * DAY)


def purchases() -> Purchases:
    """Everybody buys item 0 each week up to the cut; item 1 they had four times, long ago."""
    lines = [
        (shopper, day, item)
        for shopper in range(5)
        for item, days in ((0, range(65, 100, 7)), (1, range(2, 14, 3)))
        for day in days
    ]
    shopper, day, item = (np.array(each) for each in zip(*sorted(lines), strict=True))
    basket = np.unique(shopper * 1000 + day, return_inverse=True)[1]
    parts = (each.astype(np.int32) for each in (shopper, basket, item))
    return Purchases(*parts, day.astype(np.int64) * DAY, items=3, shoppers=6)


def test_what_is_due_comes_first_and_strangers_get_nothing() -> None:
    found = due_items(purchases(), PERIOD.start, np.array([0, 5], np.int32), BuyAgainSpec())
    assert found[0][0] == 0
    assert found[1].tolist() == []


def test_the_summary_counts_only_what_was_bought_before() -> None:
    asked = Questions(
        np.zeros(2, np.int32),
        np.array([0, 1], np.int32),
        (frozenset({"a", "new"}), frozenset({"new"})),
        (frozenset({"a", "b"}), frozenset({"a"})),
    )
    rankings = {
        "buy_again": (("a",), ("a",)),
        "personal_frequency": (("b",), ("a",)),
        "decayed_frequency": (("b", "a"), ("a",)),
    }
    found = summarise([Round(PERIOD, asked, rankings)])
    assert (found["questions"], found["repeat_targets"]) == (1, 1)
    assert found[FIGURE] == {
        "buy_again": 1.0,
        "personal_frequency": 0.0,
        "decayed_frequency": 1.0,
    }
    assert found["gain_of_buy_again_over"]["decayed_frequency"]["gain_percent"] == pytest.approx(0)  # type: ignore[index]
    assert len(table(found)) == 4
