from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from training.models import linear
from training.models.graph_filter import fit_filter, largest_singular_value
from training.models.linear import linear_neighbours, popular_block
from training.sections import LinearSpec

FEW = settings(max_examples=10)
ALL = LinearSpec(neighbours=1_000)


def weights_of(seed: int, users: int = 40, items: int = 12) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    return sparse.csr_array(
        rng.uniform(0.1, 4, (users, items)) * (rng.random((users, items)) < 0.3)
    )


def naive_filter(r: np.ndarray, spec: LinearSpec) -> np.ndarray:
    """The formula of the module, written out: row i answers a history of item i alone."""
    # Whoever did nothing has only zeros to be multiplied: any divisor will do.
    by_user, by_item = (np.where(s > 0, s, 1) for s in (r.sum(axis=1), r.sum(axis=0)))
    normalised = r * np.power(by_user, -spec.user_exponent)[:, None] * np.power(by_item, -0.5)
    normalised /= np.linalg.norm(normalised, 2)
    gram = normalised.T @ normalised
    rest = np.eye(len(gram)) - spec.sharpness * gram
    return (gram @ rest @ rest) * np.power(by_item, spec.popularity_exponent)


@FEW
@given(seed=st.integers(0, 50), sharpness=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_filter_is_the_polynomial_of_its_definition(seed: int, sharpness: float) -> None:
    weights = weights_of(seed)
    spec = LinearSpec(sharpness=sharpness, user_exponent=0.3)
    scores = fit_filter(weights, spec).scores(sparse.csr_array(np.eye(12)))
    assert scores.dtype == np.float32
    assert scores == pytest.approx(naive_filter(weights.toarray(), spec), abs=1e-5)


@FEW
@given(seed=st.integers(0, 50), few=st.sampled_from([0.0, 2.0]))
def test_the_lists_are_the_filters_largest_answers(seed: int, few: float) -> None:
    """Whether the pairs that never met are left out of the products or not."""
    weights = weights_of(seed)
    spec = LinearSpec(neighbours=4)
    expected = naive_filter(weights.toarray(), spec)
    np.fill_diagonal(expected, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_FEW", few)
        lists = linear_neighbours(weights, spec)
    for item, (others, values) in enumerate(zip(lists.idx, lists.weight, strict=True)):
        kept = others >= 0
        best = np.sort(expected[item][expected[item] > 1e-6])[::-1][:4]
        assert values[kept][: len(best)] == pytest.approx(best, abs=1e-5)
        assert expected[item][others[kept]] == pytest.approx(values[kept], abs=1e-5)


@FEW
@given(seed=st.integers(0, 20))
def test_relabelling_shoppers_and_items_only_permutes_the_lists(seed: int) -> None:
    weights = weights_of(3)
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(40), rng.permutation(12)
    moved = linear_neighbours(sparse.csr_array(weights[users][:, items]), ALL)
    plain = linear_neighbours(weights, ALL)

    def dense(lists, names) -> np.ndarray:
        table = np.zeros((12, 12))
        row, place = np.nonzero(lists.idx >= 0)
        table[names[row], names[lists.idx[row, place]]] = lists.weight[row, place]
        return table

    assert dense(moved, items) == pytest.approx(dense(plain, np.arange(12)), abs=1e-5)


def test_sharpening_takes_popularity_out_of_the_answer() -> None:
    """An item that everyone has says little; with sharpness it falls behind the item's own kind."""
    u, i = np.indices((60, 20))
    seen = ((u + i) % 2 == 0) & (np.random.default_rng(0).random((60, 20)) < 0.5)
    seen[:, 0] = True
    weights = sparse.csr_array(seen.astype(float))

    def rank_of_popular(sharpness: float) -> int:
        spec = LinearSpec(sharpness=sharpness, popularity_exponent=0.5)
        return int(np.flatnonzero(linear_neighbours(weights, spec).idx[5] == 0)[0])

    assert rank_of_popular(0.0) == 0
    assert rank_of_popular(0.8) > 0


def test_only_the_popular_block_takes_part() -> None:
    weights = sparse.csr_array(np.array([[1.0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 1, 0, 9]]))
    assert popular_block(weights, 3).tolist() == [0, 1, 2]
    lists = linear_neighbours(weights, LinearSpec(max_items=2))
    block = set(popular_block(weights, 2).tolist())
    assert set(lists.idx.ravel().tolist()) <= block | {-1}
    for item in set(range(4)) - block:
        assert (lists.idx[item] == -1).all()
        assert not lists.weight[item].any()


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (3, 0), (3, 4), (1, 1)])
def test_a_log_that_says_nothing_gives_lists_without_neighbours(shape: tuple[int, int]) -> None:
    lists = linear_neighbours(sparse.csr_array(shape, dtype=np.float64), LinearSpec())
    assert lists.idx.shape == (shape[1], 1)
    assert (lists.idx == -1).all()


def test_one_item_has_no_neighbour() -> None:
    lists = linear_neighbours(sparse.csr_array(np.ones((3, 1))), LinearSpec())
    assert lists.idx.tolist() == [[-1]]


def test_the_same_input_gives_the_same_bits() -> None:
    one, two = (linear_neighbours(weights_of(1, 400, 90), LinearSpec()) for _ in range(2))
    assert one.idx.tobytes() == two.idx.tobytes()
    assert one.weight.tobytes() == two.weight.tobytes()


@FEW
@given(seed=st.integers(0, 50))
def test_the_largest_singular_value_is_found(seed: int) -> None:
    matrix = weights_of(seed)
    assert largest_singular_value(matrix) == pytest.approx(
        np.linalg.norm(matrix.toarray(), 2), rel=1e-4
    )
