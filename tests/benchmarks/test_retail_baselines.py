"""The baselines of the next-basket protocol, against sums done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.retail.baselines import (
    Known,
    TifuKnn,
    UpCf,
    choices,
    decayed_frequency,
    personal_frequency,
    popular,
    rank,
)
from benchmarks.retail.baskets import Purchases, rolling_periods
from recommender.errors import DataError
from training.engine import Period
from training.split import MICROS_PER_DAY as DAY

ITEMS, SHOPPERS, CUT = 5, 3, 100 * DAY
Basket = tuple[int, int, set[int]]  # shopper, day, items

BASKETS: list[Basket] = [
    (0, 10, {0, 1}),
    (0, 20, {0, 2}),
    (0, 90, {1}),
    (1, 80, {0, 3}),
    (1, 95, {3}),
]


def _purchases(baskets: list[Basket]) -> Purchases:
    lines = [
        (shopper, number, item, day * DAY)
        for number, (shopper, day, bought) in enumerate(sorted(baskets, key=lambda b: b[:2]))
        for item in sorted(bought)
    ]
    shopper, basket, item, ts = (np.array(each) for each in zip(*lines, strict=True))
    return Purchases(
        shopper.astype(np.int32),
        basket.astype(np.int32),
        item.astype(np.int32),
        ts.astype(np.int64),
        ITEMS,
        SHOPPERS,
    )


@pytest.fixture
def known() -> Known:
    return Known.at(_purchases(BASKETS), CUT, 28)


EVERYBODY = np.arange(SHOPPERS, dtype=np.int32)


def test_frequency_breaks_ties_by_the_later_purchase(known: Known) -> None:
    rows = rank(known, personal_frequency(known, EVERYBODY), 3)
    assert rows[0].tolist() == [1, 0, 2]
    assert rows[1].tolist() == [3, 0, 1]


def test_popularity_is_recent_and_fills_every_list(known: Known) -> None:
    assert known.popularity.tolist() == [1, 1, 0, 2, 0]
    stranger = rank(known, personal_frequency(known, EVERYBODY), 5)[2]
    assert stranger.tolist() == rank(known, popular(known, EVERYBODY), 5)[2].tolist()
    assert stranger.tolist() == [3, 0, 1, 2]  # item 4 was never sold


def test_decay_halves(known: Known) -> None:
    scores = decayed_frequency(known, EVERYBODY, 10)
    assert scores[0, 1] == pytest.approx(2**-9 + 2**-1)
    assert scores[1, 3] == pytest.approx(2**-2 + 2**-0.5)
    assert not scores[2].any()


def test_tifu_vectors_by_hand(known: Known) -> None:
    # Shopper 0 has a full group (baskets 2 and 1 from the end) and an older group of one basket.
    alone = TifuKnn(group_size=2, within=0.5, across=0.8, neighbours=1, own_share=1.0)
    scores = alone(known, EVERYBODY)
    assert scores[0, 1] == pytest.approx((1 / 2) / 2 + 0.8 / 2)
    assert scores[0, 2] == pytest.approx((0.5 / 2) / 2)
    assert scores[1, 3] == pytest.approx((1 + 0.5) / 2)
    half = TifuKnn(group_size=2, within=0.5, across=0.8, neighbours=1, own_share=0.5)
    assert half(known, EVERYBODY)[0, 3] == pytest.approx(0.5 * scores[1, 3])
    assert not half(known, EVERYBODY)[2].any()


def test_up_cf_by_hand(known: Known) -> None:
    scores = UpCf(recent=1, asymmetry=0.5, locality=2)(known, EVERYBODY)
    first = np.array([2, 2, 1, 0]) / 3
    second = np.array([1, 0, 0, 2]) / 2
    cosine = first @ second / np.sqrt((first @ first) * (second @ second))
    assert scores[0, 1] == pytest.approx(1.0)
    assert scores[0, 3] == pytest.approx(cosine**2)
    assert scores[1, 1] == pytest.approx(cosine**2)


days = st.integers(0, 99)
basket = st.tuples(
    st.integers(0, SHOPPERS - 1), days, st.sets(st.integers(0, ITEMS - 1), min_size=1)
)


@given(st.lists(basket, min_size=1, unique_by=lambda b: b[:2]), st.lists(basket, max_size=4))
def test_no_baseline_looks_behind_the_cut(past: list[Basket], future: list[Basket]) -> None:
    later = [(shopper, day + 100, bought) for shopper, day, bought in future]
    later = list({each[:2]: each for each in later}.values())
    scorers = [personal_frequency, *(options[0][1] for options in choices().values())]
    told = [Known.at(_purchases(each), CUT, 28) for each in (past, past + later)]
    for scorer in scorers:
        rows = [rank(each, scorer(each, EVERYBODY), 3) for each in told]
        assert [row.tolist() for row in rows[0]] == [row.tolist() for row in rows[1]]


def test_folds_are_the_last_stretches_of_the_log() -> None:
    periods = rolling_periods(Period(0, 100 * DAY), 2, 10)
    assert periods == (Period(80 * DAY, 90 * DAY), Period(90 * DAY, 100 * DAY))
    with pytest.raises(DataError, match="more than half"):
        rolling_periods(Period(0, 100 * DAY), 6, 10)
