"""Neighbour lists of the seeds, summed: against the formula, one step at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.neighbours import NeighbourSource
from recommender.seeds import NO_SEEDS, PART_CODES, Seeds
from recommender.terms import ADD_TO_CART, EVENT_CODES, PURCHASE, VIEW_ITEM

ITEMS = 12
rng = np.random.default_rng(5)
IDX = rng.integers(-1, ITEMS, (ITEMS, 4)).astype(np.int32)
WEIGHT = np.where(IDX >= 0, rng.random((ITEMS, 4)), 0).astype(np.float32)
TYPES = (VIEW_ITEM, ADD_TO_CART, PURCHASE)


def way(steps: list[tuple[int, str, float, float]]) -> Seeds:
    """Seeds of these (item, type, weight, age), oldest first."""
    n = len(steps)
    return Seeds(
        np.array([step[0] for step in steps], np.int32),
        np.array([EVENT_CODES[step[1]] for step in steps], np.int32),
        np.array([step[2] for step in steps], np.float32),
        np.array([step[3] for step in steps], np.float32),
        np.full(n, PART_CODES["session"], np.int32),
    )


ways = st.lists(
    st.tuples(
        st.integers(0, ITEMS - 1),
        st.sampled_from(TYPES),
        st.floats(0.1, 3),
        st.integers(0, 6).map(float),
    ),
    max_size=15,
).map(lambda steps: way(sorted(steps, key=lambda step: -step[3])))


def by_hand(seeds: Seeds, types: tuple[str, ...], decay: float) -> dict[int, float]:
    codes = {EVENT_CODES[name] for name in types} or set(EVENT_CODES.values())
    chosen = seeds[np.isin(seeds.event_codes, list(codes))]
    sums: dict[int, float] = {}
    rows = zip(chosen.item_idx, chosen.weights, chosen.lags(), strict=True)
    for item, weight, lag in rows:
        for other, strength in zip(IDX[item], WEIGHT[item], strict=True):
            if other >= 0:
                sums[int(other)] = sums.get(int(other), 0.0) + weight * decay**lag * strength
    return sums


@given(
    ways,
    st.sampled_from([(), (VIEW_ITEM,), (ADD_TO_CART, PURCHASE)]),
    st.sampled_from([1.0, 0.8, 0.01]),
    st.sets(st.integers(0, ITEMS - 1)),
    st.integers(1, 15),
)
def test_scores_are_those_of_the_formula(
    seeds: Seeds, types: tuple[str, ...], decay: float, closed: set[int], n: int
) -> None:
    eligible = np.ones(ITEMS, np.bool_)
    eligible[list(closed)] = False
    found = NeighbourSource(IDX, WEIGHT, types, decay).candidates(seeds, eligible, n)
    expected = {i: score for i, score in by_hand(seeds, types, decay).items() if i not in closed}
    assert len(found) == min(n, len(expected))
    assert (np.diff(found.scores) <= 0).all()
    for item, score in zip(found.item_idx.tolist(), found.scores.tolist(), strict=True):
        assert score == pytest.approx(expected.pop(item), rel=1e-5)
    assert all(score <= found.scores[-1] * (1 + 1e-5) for score in expected.values())


def test_without_seeds_there_is_nothing() -> None:
    found = NeighbourSource(IDX, WEIGHT).candidates(NO_SEEDS, np.ones(ITEMS, np.bool_), 5)
    assert not len(found)


def test_a_very_long_way_still_counts_its_first_step() -> None:
    idx = np.arange(1, 501, dtype=np.int32)[:, None]
    idx[-1] = -1
    weight = np.ones((500, 1), np.float32)
    seeds = way([(item, VIEW_ITEM, 1.0, 1000.0 - item) for item in range(500)])
    source = NeighbourSource(idx, weight, (), 0.01)
    found = source.candidates(seeds, np.ones(500, np.bool_), 600)
    assert sorted(found.item_idx.tolist()) == list(range(1, 500))
