from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.exposures import (
    MOST_COUNTED,
    TAKEN_UP_WITHIN_MICROS,
    Moment,
    ignored_exposures,
)
from recommender.impression_discount import AGES, DEFAULT_DISCOUNT, check_discount
from training.models.impression_discount import (
    Exposures,
    counted,
    isotonic,
    learn_discount,
    monotone,
    taken_up,
)
from training.sections import ImpressionDiscountSpec

times = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=40)


@given(times.map(lambda rows: sorted(set(rows))), times)
def test_training_counts_as_serving_does(
    shown: list[tuple[int, int]], touched: list[tuple[int, int]]
) -> None:
    pair, ts = (np.array([row[n] for row in shown], np.int64) for n in (0, 1))
    of, when = (np.array([row[n] for row in touched], np.int64) for n in (0, 1))
    ignored, age, known = counted(pair, ts, of, when)
    for row, (item, moment) in enumerate(shown):
        before = [t for i, t in shown if i == item and t < moment]
        last = max((t for i, t in touched if i == item and t < moment), default=-1)
        # The moment just before the exposure, in half units.
        at = Moment(2 * moment - 1, 0)
        doubled = {"item": [2 * t for t in before]}
        found = ignored_exposures(doubled, {"item": 2 * last} if last >= 0 else {}, at)
        assert min(ignored[row], MOST_COUNTED) == (found[0].ignored if found else 0)
        assert age[row] == (moment - found[0].last // 2 if found else 0)
        assert known[row] == (last >= 0)


def test_a_click_is_of_the_last_showing_before_it() -> None:
    pair = np.array([1, 1, 1, 2])
    ts = np.array([0, 100, 300, 0])
    late = TAKEN_UP_WITHIN_MICROS
    clicks = [(1, 150), (1, 300), (2, late + 1), (3, 5), (1, 99)]
    of, when = (np.array(column) for column in zip(*clicks, strict=True))
    assert taken_up(pair, ts, of, when).tolist() == [True, True, True, False]
    assert not taken_up(pair, ts, np.empty(0, np.int64), np.empty(0, np.int64)).any()


@given(times.map(lambda rows: sorted(set(rows))), times)
def test_clicks_are_given_to_showings_as_one_by_one(
    shown: list[tuple[int, int]], clicks: list[tuple[int, int]]
) -> None:
    step = TAKEN_UP_WITHIN_MICROS // 4
    expected = set()
    for item, moment in clicks:
        before = [t for i, t in shown if i == item and t <= moment]
        if before and moment - max(before) <= 4:
            expected.add((item, max(before)))
    pair, ts = (np.array([row[n] for row in shown], np.int64) for n in (0, 1))
    of, when = (np.array([row[n] for row in clicks], np.int64) for n in (0, 1))
    found = taken_up(pair, ts * step, of, when * step)
    assert {row for row, taken in zip(shown, found, strict=True) if taken} == expected


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 5)), min_size=1, max_size=8).map(np.array)
)
def test_isotonic_rises_and_is_nearest(rows: np.ndarray) -> None:
    values, weights = rows.T
    found = isotonic(values, weights)
    assert (np.diff(found) >= -1e-12).all()
    best = (weights * (found - values) ** 2).sum()
    for shift in (0.1, -0.1):
        for start in range(len(values)):
            other = np.maximum.accumulate(found + shift * (np.arange(len(values)) == start))
            assert (weights * (other - values) ** 2).sum() >= best - 1e-9
    assert (found * weights).sum() == pytest.approx((values * weights).sum())


def test_more_rounds_than_it_takes_to_settle_change_nothing() -> None:
    exposures = shop_of_tired_people(0.35)
    few, many = (
        learn_discount(exposures, ImpressionDiscountSpec(rounds=rounds)) for rounds in (200, 400)
    )
    early = learn_discount(exposures, ImpressionDiscountSpec(rounds=1))
    assert few is not None
    assert many is not None
    assert early is not None
    assert np.array_equal(few, many)
    assert not np.array_equal(few, early)


@given(st.integers(0, 2**32 - 1))
def test_whatever_is_learnt_is_a_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.uniform(0, 3, (MOST_COUNTED, AGES))
    check_discount(monotone(table, rng.uniform(0.1, 5, table.shape)))
    check_discount(monotone(DEFAULT_DISCOUNT.astype(np.float64), np.ones_like(table)))


def shop_of_tired_people(fatigue: float, seed: int = 3) -> Exposures:
    """People whose clicks fall by exp(-fatigue n); the best items and the keenest come back most.

    Of the items that are shown most often the worst are shown again most, so that raw click rates
    by n would say that people tire much faster than they do.
    """
    rng = np.random.default_rng(seed)
    n = 400_000
    shopper, item = rng.integers(0, 800, n), rng.integers(0, 60, n)
    taste, appeal = rng.gamma(2, 0.5, 800), rng.gamma(2, 0.5, 60)
    place = rng.integers(0, 5, n)
    most = np.clip(1 + 6 / (1 + appeal[item] * taste[shopper]), 0, 6)
    ignored = np.floor(rng.uniform(0, 1, n) * (most + 1)).astype(np.int64)
    rate = 0.06 * taste[shopper] * appeal[item] * 0.8**place * np.exp(-fatigue * ignored)
    clicked = rng.uniform(0, 1, n) < np.minimum(rate, 1)
    touched = np.zeros(n, np.bool_)
    return Exposures(shopper, item, place, touched, ignored, np.zeros(n, np.int64), clicked)


@pytest.mark.parametrize("fatigue", [0.0, 0.35])
def test_fixed_effects_find_the_true_curve_where_raw_rates_do_not(fatigue: float) -> None:
    exposures = shop_of_tired_people(fatigue)
    table = learn_discount(exposures, ImpressionDiscountSpec(prior=0.5))
    assert table is not None
    truth = np.exp(-fatigue * np.arange(1, MOST_COUNTED + 1))
    # The last row has too few clicks left to say more.
    assert table[:-1, 0] == pytest.approx(truth[:-1], abs=0.06)
    raw = [exposures.clicked[exposures.ignored == k].mean() for k in range(MOST_COUNTED + 1)]
    assert abs(raw[4] / raw[0] - truth[3]) > 0.15
    check_discount(table)


def test_too_few_clicks_teach_nothing() -> None:
    exposures = shop_of_tired_people(0.35)
    assert learn_discount(exposures, ImpressionDiscountSpec(min_clicks=10_000_000)) is None


def test_what_was_never_seen_is_the_default() -> None:
    table = learn_discount(shop_of_tired_people(0.3), ImpressionDiscountSpec())
    assert table is not None
    # No exposure had been ignored more than an hour ago.
    assert table[:, 1] == pytest.approx(DEFAULT_DISCOUNT[:, 1], abs=0.1)
