"""Figures of the next-basket protocol on answers whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.retail.figures import Questions, Scored, fold_means, full_recall, relative_gain

ASKED = Questions(
    np.array([0, 0, 1], np.int32),
    np.array([7, 8, 7], np.int32),
    (frozenset("ab"), frozenset("c"), frozenset("ad")),
    (frozenset("a"), frozenset(), frozenset("ab")),
)


def test_repeat_and_new_items_are_scored_apart() -> None:
    means = Scored.of([("a", "x"), ("y",), ("d",)], ASKED).means
    assert means["recall@20"] == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    assert means["repeat_recall@20"] == pytest.approx((1 + 0) / 2)
    assert means["new_recall@20"] == pytest.approx((0 + 0 + 1) / 3)
    assert means["with_history_recall@20"] == pytest.approx(1 / 2)
    assert means["without_history_recall@20"] == 0


def test_a_slice_that_nobody_has_is_none() -> None:
    known = Questions(ASKED.fold[:1], ASKED.shopper[:1], ASKED.targets[:1], ASKED.own[:1])
    assert Scored.of([("a",)], known).means["without_history_recall@20"] is None


def test_only_the_uncapped_recall_punishes_large_baskets() -> None:
    basket = [str(number) for number in range(40)]
    asked = Questions(ASKED.fold[:1], ASKED.shopper[:1], (frozenset(basket),), (frozenset(),))
    means = Scored.of([tuple(basket)], asked).means
    assert means["recall@20"] == 1
    assert means["uncapped_recall@20"] == full_recall(basket, basket, 20) == 0.5


def test_folds_are_averaged_apart() -> None:
    scored = Scored.of([("a", "b"), ("y",), ("d",)], ASKED)
    assert fold_means(scored, ASKED) == [0.5, 0.5]


def test_gain_of_a_recommender_over_itself_is_nothing() -> None:
    values = np.random.default_rng(1).random(50)
    shopper = np.arange(50, dtype=np.int32) // 2
    assert relative_gain(values, values, shopper) == {"gain_percent": 0, "low": 0, "high": 0}
    doubled = relative_gain(2 * values, values, shopper)
    assert doubled["gain_percent"] == pytest.approx(100)


def test_gain_draws_shoppers_not_questions() -> None:
    # One shopper asked a hundred times is one voice: nothing is known about others.
    rng = np.random.default_rng(2)
    better, base = rng.random(100), rng.random(100)
    gain = relative_gain(better, base, np.zeros(100, np.int32))
    assert gain["low"] == pytest.approx(gain["high"])
    spread = relative_gain(better, base, np.arange(100, dtype=np.int32))
    assert spread["low"] is not None
    assert spread["high"] is not None
    assert spread["low"] < spread["high"]


def test_gain_over_nothing_is_none() -> None:
    zero = np.zeros(3)
    assert relative_gain(zero, zero, np.arange(3, dtype=np.int32))["gain_percent"] is None
