from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from training.models import neighbours
from training.models.neighbours import strongest, strongest_of


@given(
    weights=arrays(np.float64, (7, 7), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0])),
    width=st.integers(1, 8),
)
def test_each_row_keeps_its_largest_weights_without_itself(weights: np.ndarray, width: int) -> None:
    lists = strongest(sparse.csr_array(weights), width)
    assert lists.idx.dtype == np.int32
    assert lists.weight.dtype == np.float32
    for row in range(7):
        best = sorted(
            (-weights[row, column], column)
            for column in range(7)
            if column != row and weights[row, column] > 0
        )[:width]
        kept = lists.idx[row] >= 0
        assert list(zip(-lists.weight[row][kept], lists.idx[row][kept], strict=True)) == best
        assert (lists.weight[row][~kept] == 0).all()
        assert kept.tolist() == sorted(kept.tolist(), reverse=True)


def test_lists_are_no_wider_than_needed() -> None:
    weights = sparse.csr_array(np.array([[9.0, 1.0, 2.0], [0, 9, 0], [0, 0, 9]]))
    assert strongest(weights, 100).idx.tolist() == [[2, 1], [-1, -1], [-1, -1]]
    assert strongest(sparse.csr_array((3, 3)), 5).idx.tolist() == [[-1]] * 3


def test_blocks_of_rows_join_without_a_seam(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    weights = sparse.csr_array(rng.random((25, 25)) * (rng.random((25, 25)) < 0.5))
    whole = strongest(weights, 6)
    monkeypatch.setattr(neighbours, "_ROWS_AT_ONCE", 4)
    parts = strongest(weights, 6)
    assert np.array_equal(whole.idx, parts.idx)
    assert np.array_equal(whole.weight, parts.weight)


@pytest.mark.parametrize("of", [sparse.csr_array, np.asarray])
def test_blocks_may_be_dense_or_sparse(of: Callable[[np.ndarray], Any]) -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((25, 25)) * (rng.random((25, 25)) < 0.5)
    whole = strongest(sparse.csr_array(weights), 6)
    parts = strongest_of((of(weights[start : start + 4]) for start in range(0, 25, 4)), 25, 6)
    assert np.array_equal(whole.idx, parts.idx)
    assert np.array_equal(whole.weight, parts.weight)


def test_weights_that_float32_cannot_tell_apart_are_ordered_by_item() -> None:
    weights = sparse.csr_array(np.array([[0.0, 1.0, 1.0 + 1e-12], [0, 0, 0], [0, 0, 0]]))
    assert strongest(weights, 1).idx[0, 0] == 1
