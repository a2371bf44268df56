from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from training.models import covisitation
from training.models.covisitation import (
    PairRows,
    neighbour_lists,
    pair_weights,
    steps_of,
    without_diagonal,
)
from training.sections import CovisitationSpec, PairSpec

DAY = 86_400_000_000


def rows_of(steps: list[tuple[int, int, list[int]]], later: list[bool] | None = None) -> PairRows:
    """Rows of (group, ts, items) steps; `later` says which are of the second type, if any."""
    flat = [
        (group, step, ts, item) for step, (group, ts, items) in enumerate(steps) for item in items
    ]
    group, step, ts, item = (np.array(column, np.int64) for column in zip(*flat, strict=True))
    is_later = np.ones(len(flat), np.bool_) if later is None else np.array(later)[step]
    is_earlier = np.ones(len(flat), np.bool_) if later is None else ~is_later
    return PairRows(group, step, ts, item.astype(np.int32), is_earlier, is_later)


def weights_of(rows: PairRows, spec: PairSpec, items: int = 4, **limits: int) -> np.ndarray:
    caps = {"max_basket": 100, "max_steps": 100} | limits
    return pair_weights(steps_of(rows, items, **caps), spec).toarray()


def test_each_step_further_and_each_half_life_later_counts_less() -> None:
    spec = PairSpec(max_distance=2, position_decay=0.5, half_life_days=1)
    found = weights_of(rows_of([(0, 0, [0]), (0, DAY, [1]), (0, 3 * DAY, [2])]), spec)
    # 0 → 1: one step, one day. 1 → 2: one step, two days. 0 → 2: two steps, three days.
    assert found[0, 1] == pytest.approx(1 / 2)
    assert found[1, 2] == pytest.approx(1 / 4)
    assert found[0, 2] == pytest.approx(1 / 2 * 1 / 8)
    assert np.count_nonzero(found) == 3


def test_items_of_one_basket_count_both_ways_and_less_in_a_large_basket() -> None:
    found = weights_of(rows_of([(0, 0, [0, 1, 2])]), PairSpec(max_distance=0))
    assert found[:3, :3] == pytest.approx((1 - np.eye(3)) / 3)
    assert found[3].sum() == 0


def test_different_types_pair_forwards_only_and_never_within_a_step() -> None:
    rows = rows_of([(0, 0, [0, 1]), (0, 1, [1, 2]), (0, 2, [3])], later=[False, True, False])
    found = weights_of(rows, PairSpec(max_distance=5, half_life_days=1e4))
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[0, 2] = expected[1, 2] = 1 / 2
    assert found == pytest.approx(expected)


def test_groups_do_not_pair_with_each_other() -> None:
    assert not weights_of(rows_of([(0, 0, [0]), (1, 1, [1])]), PairSpec()).any()


def test_the_last_steps_of_an_endless_group_are_kept() -> None:
    rows = rows_of([(0, 0, [0]), (0, 1, [1]), (0, 2, [2]), (1, 0, [3]), (1, 1, [0])])
    found = weights_of(rows, PairSpec(max_distance=1), max_steps=2)
    assert {tuple(pair) for pair in np.argwhere(found).tolist()} == {(1, 2), (3, 0)}


def test_a_basket_is_cut_at_its_limit() -> None:
    found = weights_of(rows_of([(0, 0, [3, 1, 0, 2])]), PairSpec(), max_basket=2)
    assert {tuple(pair) for pair in np.argwhere(found).tolist()} == {(0, 1), (1, 0)}


def test_an_item_twice_in_a_basket_counts_once() -> None:
    found = weights_of(rows_of([(0, 0, [0, 0, 1])]), PairSpec())
    assert found[0, 1] == pytest.approx(1 / 2)


def test_blocks_of_groups_join_without_a_seam(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    steps = [(group, ts, [int(rng.integers(4))]) for group in range(30) for ts in range(5)]
    whole = weights_of(rows_of(steps), PairSpec())
    monkeypatch.setattr(covisitation, "_STEPS_AT_ONCE", 7)
    assert weights_of(rows_of(steps), PairSpec()) == pytest.approx(whole, rel=1e-12)


def test_no_rows_give_no_weights() -> None:
    none = np.empty(0, np.int64)
    empty = PairRows(none, none, none, none.astype(np.int32), none > 0, none > 0)
    assert weights_of(empty, PairSpec()).shape == (4, 4)


def test_lists_hold_shares_shrunk_and_damped() -> None:
    weights = sparse.csr_array(np.array([[0, 3.0, 1.0], [0, 0, 2.0], [0, 0, 0]]))
    plain = neighbour_lists(
        weights, PairSpec(smoothing=0, popularity_damping=0), CovisitationSpec()
    )
    assert plain.idx[0].tolist() == [1, 2]
    assert plain.weight[0].tolist() == [0.75, 0.25]
    shrunk = neighbour_lists(
        weights, PairSpec(smoothing=4, popularity_damping=0), CovisitationSpec()
    )
    assert shrunk.weight[0].tolist() == [3 / 8, 1 / 8]
    # Items 1 and 2 both follow with weight 3 in all, which is the mean: damping changes nothing.
    damped = neighbour_lists(
        weights, PairSpec(smoothing=0, popularity_damping=1), CovisitationSpec()
    )
    assert damped.weight[0].tolist() == [0.75, 0.25]


def test_damping_prefers_what_is_specific() -> None:
    common, own = 1, 2
    weights = np.zeros((6, 6))
    weights[:, common] = 2.0
    weights[0, own] = 1.5
    weights[1, 1] = 0
    lists = neighbour_lists(
        sparse.csr_array(weights), PairSpec(popularity_damping=1), CovisitationSpec()
    )
    assert lists.idx[0].tolist()[:2] == [own, common]


def test_the_diagonal_is_left_out() -> None:
    found = without_diagonal(sparse.csr_array(np.array([[5.0, 1.0], [0, 7.0]])))
    assert found.toarray().tolist() == [[0, 1], [0, 0]]
