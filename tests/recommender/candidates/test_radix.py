from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.radix import by_digits

KEYS = st.sampled_from([0, 1, 255, 256, 1 << 16, 1 << 24, 2**32 - 1]) | st.integers(0, 2**32 - 1)


@given(st.lists(KEYS, max_size=300))
def test_it_is_the_stable_order(keys: list[int]) -> None:
    given_keys = np.array(keys, np.uint32)
    found = by_digits(given_keys)
    assert found.dtype == np.int32
    assert found.tolist() == np.argsort(given_keys, kind="stable").tolist()
