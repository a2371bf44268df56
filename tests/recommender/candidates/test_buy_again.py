from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.buy_again import BuyAgainSource, due, interval_share
from recommender.seeds import PART_CODES, Seeds
from recommender.terms import EVENT_CODES, PURCHASE, VIEW_ITEM

DAY = 86_400.0
COFFEE, SOFA, TEA = 0, 1, 2
SOURCE = BuyAgainSource(
    np.array([0.8, 0.001, 0.5], np.float32),
    np.log(np.array([30.0, 365.0, 30.0])).astype(np.float32),
    np.full(3, 0.4, np.float32),
    horizon_days=7,
    own_prior=2,
    least=0.01,
    demand=np.ones(3, np.float32),
)
EVERYTHING = np.ones(3, np.bool_)


def bought(rows: list[tuple[int, float]], event: str = PURCHASE) -> Seeds:
    """Purchases of items so many days ago."""
    n = len(rows)
    return Seeds(
        np.array([item for item, _ in rows], np.int32),
        np.full(n, EVENT_CODES[event], np.int32),
        np.ones(n, np.float32),
        np.array([days * DAY for _, days in rows], np.float32),
        np.full(n, PART_CODES["history"], np.int32),
    )


def scores(rows: list[tuple[int, float]], event: str = PURCHASE) -> dict[int, float]:
    found = SOURCE.candidates(bought(rows, event), EVERYTHING, 5)
    return dict(zip(found.item_idx.tolist(), found.scores.tolist(), strict=True))


def share(days: float, log_mean: float, log_sd: float) -> float:
    return 0.5 * (1 + math.erf((math.log(days) - log_mean) / (log_sd * math.sqrt(2))))


def test_one_purchase_by_hand() -> None:
    before, after = share(25, math.log(30), 0.4), share(32, math.log(30), 0.4)
    expected = 0.8 * (after - before) / (1 - 0.8 * before)
    assert scores([(COFFEE, 25)]) == pytest.approx({COFFEE: expected}, rel=1e-4)


def test_own_purchases_move_probability_and_interval() -> None:
    """Bought every ten days, three times: two repeats against a prior of two."""
    probability = (2 * 0.5 + 2) / 4
    mean = (2 * math.log(30) + 2 * math.log(10)) / 4
    before, after = share(10, mean, 0.4), share(17, mean, 0.4)
    expected = probability * (after - before) / (1 - probability * before)
    found = scores([(TEA, 30), (TEA, 20), (TEA, 10)])
    assert found == pytest.approx({TEA: expected}, rel=1e-4)
    # The order of the seeds and a second line of one order change nothing.
    assert scores([(TEA, 10), (TEA, 30), (TEA, 20), (TEA, 20.1)]) == pytest.approx(found, rel=1e-2)


def test_it_is_due_when_its_time_has_come() -> None:
    found = [scores([(COFFEE, days)]).get(COFFEE, 0.0) for days in (1, 12, 25, 300)]
    assert found[0] < found[1] < found[2]
    assert found[3] < found[2]


def test_durable_goods_and_things_looked_at_are_not_proposed() -> None:
    assert scores([(SOFA, 365)]) == {}
    assert scores([(COFFEE, 25)], VIEW_ITEM) == {}


@given(st.floats(0.001, 0.99), st.floats(-1, 6), st.floats(0.3, 2), st.floats(0.01, 1000))
def test_due_is_a_probability_and_adds_up_over_time(
    probability: float, log_mean: float, log_sd: float, days: float
) -> None:
    interval = (np.array([log_mean]), np.array([log_sd], np.float32))
    one, two, ever = (
        float(due(np.array([probability]), interval, np.array([days]), horizon)[0])
        for horizon in (7.0, 14.0, 1e9)
    )
    assert -1e-9 <= one <= two + 1e-9 <= ever + 2e-9 <= 1 + 3e-9


def test_the_share_of_intervals_is_the_normal_distribution_of_the_log() -> None:
    found = interval_share(
        np.array([0.0, 30.0, 1e6]), np.full(3, math.log(30)), np.float32([1] * 3)
    )
    assert found == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_of_what_is_as_likely_what_sells_now_comes_first() -> None:
    seeds = bought([(COFFEE, 28), (TEA, 28)])
    plain = SOURCE.candidates(seeds, EVERYTHING, 5)
    assert plain.item_idx.tolist() == [COFFEE, TEA]
    over = replace(SOURCE, demand=np.array([0.1, 1, 1], np.float32))
    found = over.candidates(seeds, EVERYTHING, 5)
    assert found.item_idx.tolist() == [TEA, COFFEE]
    assert over.probabilities(found)[::-1] == pytest.approx(plain.scores)
