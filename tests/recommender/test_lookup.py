from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.lookup import found

items = st.lists(st.integers(0, 300), unique=True, max_size=40)


@given(items, items)
def test_the_few_are_found_among_the_many(ranked: list[int], wanted: list[int]) -> None:
    known = sorted(wanted)
    places, rows = found(np.array(ranked, np.int32), np.array(known, np.int32))
    expected = [(place, known.index(item)) for place, item in enumerate(ranked) if item in known]
    assert list(zip(places.tolist(), rows.tolist(), strict=True)) == expected
