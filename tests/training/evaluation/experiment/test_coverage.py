from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.experiment.coverage import thinned

showings = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(showings, st.integers(0, 20))
def test_it_is_the_mean_over_all_subsets(counts: list[int], size: int) -> None:
    whole = [item for item, count in enumerate(counts) for _ in range(count)]
    size = min(size, len(whole))
    subsets = [len(set(each)) for each in combinations(whole, size)]
    assert thinned(np.array(counts), size) == pytest.approx(np.mean(subsets), abs=1e-9)


def test_nothing_is_thinned_where_all_is_kept() -> None:
    assert thinned(np.array([3, 1, 7]), 11) == pytest.approx(3.0)


def test_more_than_there_is_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="0 to 4"):
        thinned(np.array([3, 1]), 5)
