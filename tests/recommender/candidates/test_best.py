from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.best import keep_best, keep_best_of_all, ordered

SCORES = st.sampled_from([-1.0, -0.0, 0.0, 1e-45, 1e-30, 0.5, 0.5, 1.0, 3.4e38])
SCORED = st.dictionaries(
    st.integers(0, 2**31 - 1), SCORES | st.floats(-1, 1, width=32), max_size=300
)


def arrays(scores: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(list(scores), np.int32), np.array(list(scores.values()), np.float32)


def head(items: np.ndarray, worth: np.ndarray, n: int) -> list[tuple[int, np.float32]]:
    """The n best with a positive score, by sorting."""
    rows = zip(items.tolist(), worth, strict=True)
    return sorted((row for row in rows if row[1] > 0), key=lambda row: (-row[1], row[0]))[:n]


@given(SCORED, st.integers(1, 60))
def test_what_is_kept_and_ordered_is_the_head_of_the_sorted_positive_scores(
    scores: dict[int, float], n: int
) -> None:
    items, worth = arrays(scores)
    expected = head(items, worth, n)
    found, kept = np.empty(n, np.int32), np.empty(n, np.float32)
    count = keep_best(items, worth, found, kept)
    found, kept = ordered(found[:count], kept[:count])
    assert found.tolist() == [item for item, _ in expected]
    assert kept.tobytes() == np.array([score for _, score in expected], np.float32).tobytes()


@given(SCORED, st.integers(1, 60))
def test_what_is_kept_is_the_same_with_the_very_best_first(
    scores: dict[int, float], n: int
) -> None:
    items, worth = arrays(scores)
    found, kept = np.empty(n, np.int32), np.empty(n, np.float32)
    count = keep_best(items, worth, found, kept)
    expected = head(items, worth, n)
    assert set(zip(found[:count].tolist(), kept[:count], strict=True)) == set(expected)
    assert count == len(expected)
    if count:
        assert kept[0] == expected[0][1]


@given(st.lists(SCORES, min_size=1, max_size=80), st.randoms(), st.integers(1, 20))
def test_of_all_only_what_is_eligible_is_kept(
    scores: list[float], random: np.random.Generator, n: int
) -> None:
    eligible = np.array([random.random() < 0.5 for _ in scores], np.bool_)
    worth = np.array(scores, np.float32)
    expected = head(np.flatnonzero(eligible).astype(np.int32), worth[eligible], n)
    found, kept = np.empty(n, np.int32), np.empty(n, np.float32)
    count = keep_best_of_all(worth, eligible, found, kept)
    assert set(zip(found[:count].tolist(), kept[:count], strict=True)) == set(expected)
    assert not worth[~eligible].any()


@given(
    st.dictionaries(
        st.integers(0, 2**31 - 1), st.sampled_from([0.0, 1e-45, 0.5, 1.0]), max_size=300
    )
)
def test_ordered_sorts_by_score_then_index(scores: dict[int, float]) -> None:
    items, worth = arrays(scores)
    found, kept = ordered(items, worth)
    order = np.lexsort((items, -worth))
    assert found.tolist() == items[order].tolist()
    assert kept.tobytes() == worth[order].tobytes()
