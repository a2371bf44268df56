from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.models.embedding import associations, embed
from training.models.visits import Visits
from training.sections import EmbeddingSpec

ITEMS = 8
Bags = list[list[int]]

bags_of_items = st.lists(
    st.lists(st.integers(0, ITEMS - 1), min_size=2, max_size=9), min_size=1, max_size=12
)


def visits(bags: Bags, items: int = ITEMS) -> Visits:
    return Visits(
        np.array([item for bag in bags for item in bag], np.int32),
        np.cumsum([0, *map(len, bags)], dtype=np.int64),
        items,
    )


def table_by_hand(bags: Bags, spec: EmbeddingSpec) -> np.ndarray:
    near = np.zeros((ITEMS, ITEMS))
    for bag in bags:
        for place, one in enumerate(bag):
            for distance, other in enumerate(bag[place + 1 : place + 1 + spec.max_distance]):
                if one != other:
                    near[one, other] += spec.position_decay**distance
                    near[other, one] += spec.position_decay**distance
    total = near.sum(axis=1)
    common = total**0.75 / max((total**0.75).sum(), 1e-12)
    table = np.zeros_like(near)
    for one, other in zip(*np.nonzero(near), strict=True):
        table[one, other] = max(
            0.0, np.log(near[one, other] / (total[one] * common[other])) + spec.shift
        )
    return table


@settings(deadline=None, max_examples=40)
@given(bags_of_items, st.integers(1, 4), st.floats(-1, 3))
def test_the_table_is_shifted_mutual_information(bags: Bags, reach: int, shift: float) -> None:
    spec = EmbeddingSpec(max_distance=reach, shift=shift)
    assert associations(visits(bags), spec).toarray() == pytest.approx(table_by_hand(bags, spec))


@settings(deadline=None, max_examples=40)
@given(bags_of_items, st.integers(1, ITEMS - 1))
def test_cosines_are_those_of_the_leading_directions(bags: Bags, factors: int) -> None:
    spec = EmbeddingSpec(factors=factors, shift=3.0)
    table = table_by_hand(bags, spec)
    left, strength, _ = np.linalg.svd(table)
    found = embed(visits(bags), spec)
    if not table.any():
        assert found is None
        return
    assert found is not None
    cut = strength[factors - 1] - (strength[factors] if factors < ITEMS else 0)
    if cut < 1e-6 * strength[0] or strength[factors - 1] < 1e-6 * strength[0]:
        return  # directions of equal strength, or of none: any of them may be taken
    wanted = left[:, :factors] * np.sqrt(strength[:factors])
    length = np.linalg.norm(wanted, axis=1, keepdims=True)
    wanted = np.where(length > 1e-5 * length.max(), wanted / np.maximum(length, 1e-12), 0)
    clear = (length[:, 0] > 1e-4 * length.max()) | (length[:, 0] < 1e-9)
    assert (found.vectors @ found.vectors.T)[np.ix_(clear, clear)] == pytest.approx(
        (wanted @ wanted.T)[np.ix_(clear, clear)], abs=1e-4
    )


def test_lists_hold_the_nearest_by_cosine() -> None:
    rng = np.random.default_rng(3)
    bags = [rng.integers(0, 40, size=6).tolist() for _ in range(300)]
    found = embed(visits(bags, 40), EmbeddingSpec(factors=12, neighbours=5))
    assert found is not None
    cosines = found.vectors @ found.vectors.T
    np.fill_diagonal(cosines, 0)
    best = np.sort(cosines, axis=1)[:, ::-1][:, :5]
    assert found.lists.weight == pytest.approx(np.maximum(best, 0), abs=1e-6)
    assert found.vectors.dtype == np.float32
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(40), abs=1e-5)


def test_items_that_never_met_are_near_where_their_company_is_the_same() -> None:
    bags = [[0, 2, 3], [1, 2, 3], [0, 3, 2], [1, 3, 2], [4, 5, 6], [6, 5, 4], [4, 6, 5]]
    found = embed(visits(bags), EmbeddingSpec(factors=2))
    assert found is not None
    cosines = found.vectors @ found.vectors.T
    assert cosines[0, 1] > 0.9
    assert abs(cosines[0, 4]) < 0.1
    assert not found.vectors[7].any()  # stands beside nothing


def test_the_same_visits_give_the_same_vectors() -> None:
    rng = np.random.default_rng(5)
    bags = [rng.integers(0, 60, size=5).tolist() for _ in range(200)]
    spec = EmbeddingSpec(factors=16)
    one, other = embed(visits(bags, 60), spec), embed(visits(bags, 60), spec)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.vectors, other.vectors)
    assert np.array_equal(one.lists.idx, other.lists.idx)


@pytest.mark.parametrize("bags", [[], [[3, 3, 3]]], ids=["nobody", "one item alone"])
def test_without_company_there_are_no_vectors(bags: Bags) -> None:
    assert embed(visits(bags), EmbeddingSpec()) is None
