from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.best import best
from recommender.candidates.source import top

SCORES = st.sampled_from([-1.0, -0.0, 0.0, 1e-45, 1e-30, 0.5, 0.5, 1.0, 3.4e38])


@given(
    st.dictionaries(st.integers(0, 2**31 - 1), SCORES | st.floats(-1, 1, width=32), max_size=300),
    st.integers(1, 60),
)
def test_it_says_what_its_twin_says(scores: dict[int, float], n: int) -> None:
    items = np.array(list(scores), np.int32)
    worth = np.array(list(scores.values()), np.float32)
    expected = top(items, worth, n)
    found, kept = best(items, worth, n)
    assert found.tolist() == expected.item_idx.tolist()
    assert kept.tobytes() == expected.scores.tobytes()
