from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.metrics import coverage, gini, hit_rate, mrr, ndcg, novelty, recall

LISTS = st.lists(st.integers(0, 30), unique=True, max_size=25)
TARGETS = st.sets(st.integers(0, 30), min_size=1, max_size=10)
METRICS = (recall, hit_rate, mrr, ndcg)


def test_values_as_fractions() -> None:
    ranking, targets = ["a", "b", "c", "d"], {"b", "d", "z"}
    assert recall(ranking, targets, 4) == 2 / 3
    assert recall(ranking, targets, 2) == 1 / 2
    assert hit_rate(ranking, targets, 1) == 0
    assert hit_rate(ranking, targets, 2) == 1
    assert mrr(ranking, targets, 4) == 1 / 2
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert ndcg(ranking, targets, 4) == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)


@pytest.mark.parametrize("metric", METRICS)
@given(ranking=LISTS, targets=TARGETS, k=st.integers(1, 30), below=LISTS)
def test_in_range_and_blind_below_the_cut_off(metric, ranking, targets, k, below) -> None:  # type: ignore[no-untyped-def]
    value = metric(ranking, targets, k)
    assert 0 <= value <= 1
    assert value == metric(ranking[:k] + below if len(ranking) >= k else ranking, targets, k)


@pytest.mark.parametrize("metric", METRICS)
@given(targets=TARGETS, k=st.integers(1, 30))
def test_a_perfect_ranking_scores_one(metric, targets, k) -> None:  # type: ignore[no-untyped-def]
    assert metric([*sorted(targets), 99], targets, k) == pytest.approx(1)


@pytest.mark.parametrize("metric", METRICS)
def test_no_target_or_no_list_length_is_an_error(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="without targets"):
        metric(["a"], set(), 5)
    with pytest.raises(ValueError, match="k=0"):
        metric(["a"], {"a"}, 0)


def test_coverage_gini_and_novelty() -> None:
    assert coverage(np.array([1.0, 0, 2, 0])) == 1 / 2
    assert gini(np.array([3.0, 3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0.0, 0, 0, 8])) == pytest.approx(3 / 4)
    assert gini(np.zeros(4)) == 0
    assert novelty([0, 1], np.array([0.5, 0.125]), 2) == pytest.approx((1 + 3) / 2)
    assert novelty([], np.array([1.0]), 2) == 0


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_gini_by_its_definition_as_mean_difference(counts: list[int]) -> None:
    x = np.array(counts, float)
    expected = np.abs(x[:, None] - x).mean() / (2 * x.mean()) if x.sum() else 0.0
    assert gini(x) == pytest.approx(expected)
