from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from recommender.errors import DataError
from training.evaluation.off_policy_slates import (
    LoggedSlates,
    iips,
    judge_slates,
    pseudo_inverse,
    pseudo_inverse_weights,
    rips,
    snrips,
    snrips_difference,
    whole_list,
)

ITEMS, SLOTS = 4, 2
WORTH = np.array([[0.5, 0.3, 0.2, 0.1], [0.4, 0.1, 0.3, 0.2]])


def all_lists() -> np.ndarray:
    return np.array(list(permutations(range(ITEMS), SLOTS)), np.int64)


def exhaustive(share: np.ndarray, target: np.ndarray) -> LoggedSlates:
    """Each list as often as logging shows it, of twelve hundred; rewards without noise."""
    counts = np.rint(share * 1200).astype(int)
    assert counts.sum() == 1200
    lists = np.repeat(all_lists(), counts, axis=0)
    p = np.column_stack([np.full(len(lists), 1 / ITEMS), np.full(len(lists), 1 / (ITEMS - 1))])
    t = np.where(lists == target, 1.0, 0.0)
    return LoggedSlates(WORTH[np.arange(SLOTS), lists], p, t)


@pytest.mark.parametrize("target", [(0, 1), (2, 0), (3, 2)])
def test_every_estimator_finds_the_truth_where_its_assumption_holds(
    target: tuple[int, int],
) -> None:
    share = np.full(12, 1 / 12)
    log = exhaustive(share, np.array(target))
    truth = WORTH[0, target[0]] + WORTH[1, target[1]]
    for estimate in (whole_list(log), rips(log), snrips(log)):
        assert estimate.value == pytest.approx(truth)
    probability = np.zeros((SLOTS, ITEMS))
    probability[np.arange(SLOTS), target] = 1
    shown = np.repeat(all_lists(), 100, axis=0)
    weights = pseudo_inverse_weights(all_lists(), share, probability, shown)
    assert weights.mean() == pytest.approx(1)
    found = pseudo_inverse(log, weights)
    assert found.value == pytest.approx(truth)
    # With half the lists in no way like the target, its weights vary less than those of the list.
    assert found.error < whole_list(log).error


def test_with_independent_slots_the_pseudo_inverse_has_a_closed_form() -> None:
    rng = np.random.default_rng(5)
    p, t = (rng.dirichlet(np.ones(3), size=2) for _ in range(2))
    lists = np.array([(a, b) for a in range(3) for b in range(3)])
    share = p[0][lists[:, 0]] * p[1][lists[:, 1]]
    weights = pseudo_inverse_weights(lists, share, t, lists)
    ratio = (t / p)[np.arange(2), lists]
    assert weights == pytest.approx(1 + (ratio - 1).sum(axis=1))
    log = LoggedSlates(
        rng.uniform(size=(9, 2)), p[np.arange(2), lists], t[np.arange(2), lists], None, True
    )
    assert pseudo_inverse(log).value == pytest.approx(pseudo_inverse(log, weights).value)
    assert iips(log).value == pytest.approx((ratio * log.reward).sum() / 9)


def test_estimators_that_need_independent_slots_refuse_others() -> None:
    log = exhaustive(np.full(12, 1 / 12), np.array([0, 1]))
    for estimate in (iips, pseudo_inverse):
        with pytest.raises(DataError, match="slots depend on those above"):
            estimate(log)


def test_the_worst_slot_that_earns_is_what_counts() -> None:
    rng = np.random.default_rng(2)
    p = np.column_stack([np.full(1000, 1.0), np.full(1000, 0.05)])
    t = np.column_stack([np.full(1000, 1.0), (rng.uniform(size=1000) < 0.05).astype(float)])
    first, second = np.zeros((1000, 2)), np.zeros((1000, 2))
    first[:, 0], second[:, 1] = 1, 1
    good = judge_slates(LoggedSlates(first, p, t))
    assert good.refusal is None
    # The list as a whole has too few effective choices; slot by slot it has enough.
    assert [each.name for each in good.estimates] == ["RIPS", "SNRIPS"]
    bad = judge_slates(LoggedSlates(second, p, t))
    assert bad.estimates == ()
    assert "effective sample size" in (bad.refusal or "")


def test_lists_without_support_are_refused() -> None:
    log = LoggedSlates(
        np.ones((200, 1)), np.full((200, 1), 0.5), np.full((200, 1), 0.5), np.full(200, 0.5)
    )
    assert "50.0% of its mass" in (judge_slates(log).refusal or "")


def test_a_list_that_the_target_leaves_empty_is_known_to_earn_nothing() -> None:
    """A third of the questions: whatever was logged there, and wherever it lies."""
    share, target = np.full(12, 1 / 12), (0, 2)
    filled = exhaustive(share, np.array(target))
    is_silent = np.arange(len(filled) * 3 // 2) >= len(filled)
    rows = np.arange(len(is_silent)) % len(filled)
    log = LoggedSlates(
        filled.reward[rows],
        filled.propensity[rows],
        np.where(is_silent[:, None], 0.0, filled.target[rows]),
        marginal=np.full((len(rows), SLOTS), 1 / ITEMS),
        is_silent=is_silent,
    )
    truth = (WORTH[0, 0] + WORTH[1, 2]) * 2 / 3
    estimates = (whole_list(log), rips(log), snrips(log))
    assert [each.value for each in estimates] == pytest.approx([truth] * 3)
    alone = iips(replace(filled, marginal=log.marginal[: len(filled)]))
    assert iips(log).value == pytest.approx(alone.value * 2 / 3)
    assert log.running_weight.mean() == pytest.approx(1)
    assert log.total.sum() == pytest.approx(filled.total[rows].sum()), "what was served stays"
    # Of a third nothing has to be estimated.
    assert rips(log).error < rips(filled).error


def test_the_difference_of_two_targets_is_that_of_their_values() -> None:
    share = np.full(12, 1 / 12)
    one, other = (exhaustive(share, np.array(target)) for target in ((0, 2), (0, 1)))
    found = snrips_difference("gain", one, other)
    assert found.value == pytest.approx(WORTH[1, 2] - WORTH[1, 1])
    # What both put first cancels out.
    assert found.error < np.hypot(snrips(one).error, snrips(other).error)
    assert snrips_difference("none", one, one).error == 0
    fewer = LoggedSlates(other.reward[1:], other.propensity[1:], other.target[1:])
    with pytest.raises(DataError, match="the same lists for both"):
        snrips_difference("gain", one, fewer)
