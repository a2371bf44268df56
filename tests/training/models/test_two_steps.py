from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.models import two_steps as module
from training.models.two_steps import two_steps
from training.models.visits import Visits
from training.sections import TwoStepsSpec

ITEMS = 7
Bags = list[list[int]]


def visits(bags: Bags, items: int = ITEMS) -> Visits:
    return Visits(
        np.array([item for bag in bags for item in bag], np.int32),
        np.cumsum([0, *map(len, bags)], dtype=np.int64),
        items,
    )


def dense(bags: Bags, smoothing: float, items: int = ITEMS) -> np.ndarray:
    """W + W² of the module, entry by entry, without a cut."""
    near = np.zeros((items, items))
    for bag in bags:
        for place, one in enumerate(bag):
            for distance, other in enumerate(bag[place + 1 : place + 11]):
                if one != other:
                    near[one, other] += 0.7**distance
                    near[other, one] += 0.7**distance
    shares = near / (near.sum(axis=1, keepdims=True) + max(smoothing, 1e-300))
    return shares + shares @ shares


def as_matrix(found: module.NeighbourLists, items: int = ITEMS) -> np.ndarray:
    matrix = np.zeros((items, items))
    for item in range(items):
        for other, weight in zip(found.idx[item], found.weight[item], strict=True):
            if other >= 0:
                matrix[item, other] = weight
    return matrix


all_bags = st.lists(
    st.lists(st.integers(0, ITEMS - 1), min_size=2, max_size=14), min_size=1, max_size=8
)


@settings(deadline=None, max_examples=30)
@given(all_bags, st.floats(0.1, 10))
def test_weights_are_one_step_and_two(bags: Bags, smoothing: float) -> None:
    found = two_steps(visits(bags), TwoStepsSpec(smoothing=smoothing))
    expected = dense(bags, smoothing)
    np.fill_diagonal(expected, 0)
    assert as_matrix(found) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert found.idx.dtype == np.int32
    assert found.weight.dtype == np.float32
    assert found.idx.shape == (ITEMS, 100)


def test_items_that_were_never_seen_together_meet_over_a_third() -> None:
    found = as_matrix(two_steps(visits([[0, 1], [1, 2]]), TwoStepsSpec()))
    assert found[0, 1] > found[0, 2] > 0
    assert found[0, 3] == 0


def test_rows_come_out_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    bags = [rng.integers(0, 50, 6).tolist() for _ in range(80)]
    spec = TwoStepsSpec(neighbours=8, reach=6)
    whole = two_steps(visits(bags, 50), spec)
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 7)
    pieces = two_steps(visits(bags, 50), spec)
    assert whole.idx.tobytes() == pieces.idx.tobytes()
    assert whole.weight.tobytes() == pieces.weight.tobytes()


def test_no_item_follows_itself() -> None:
    found = two_steps(visits([[0, 0, 1, 0]]), TwoStepsSpec())
    assert not np.diagonal(as_matrix(found)).any()


def test_without_visits_nobody_has_a_neighbour() -> None:
    found = two_steps(visits([]), TwoStepsSpec())
    assert not found.weight.any()
    assert (found.idx == -1).all()
