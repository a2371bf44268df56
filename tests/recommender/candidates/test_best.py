from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.best import best

SCORES = st.sampled_from([-1.0, -0.0, 0.0, 1e-45, 1e-30, 0.5, 0.5, 1.0, 3.4e38])


@given(
    st.dictionaries(st.integers(0, 2**31 - 1), SCORES | st.floats(-1, 1, width=32), max_size=300),
    st.integers(1, 60),
)
def test_it_is_the_head_of_the_sorted_positive_scores(scores: dict[int, float], n: int) -> None:
    items = np.array(list(scores), np.int32)
    worth = np.array(list(scores.values()), np.float32)
    rows = zip(items.tolist(), worth, strict=True)
    expected = sorted((row for row in rows if row[1] > 0), key=lambda row: (-row[1], row[0]))[:n]
    found, kept = best(items, worth, n)
    assert found.tolist() == [item for item, _ in expected]
    assert kept.tobytes() == np.array([score for _, score in expected], np.float32).tobytes()
