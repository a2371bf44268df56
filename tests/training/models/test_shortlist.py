from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.models.shortlist import mean_event_weight, shortlist, surplus


def test_surplus_by_hand() -> None:
    """Item 0 has 9 of 12 lately where 6 are usual; one event weighs 1, one deviation is asked."""
    found = surplus(np.array([9.0, 3.0, 0.0]), np.array([50.0, 40.0, 10.0]), 1.0, 1.0)
    assert found == pytest.approx([9 - 6 - np.sqrt(7), 0, 0])


def test_what_grows_like_everything_has_no_surplus() -> None:
    usual = np.array([1.0, 10.0, 100.0])
    assert not surplus(3 * usual, usual, 1.0, 0.0).any()
    assert surplus(np.ones(2), np.zeros(2), 1.0, 0.0).tolist() == [0, 0]


masses = st.lists(st.floats(0, 100), min_size=3, max_size=3).map(np.array)


@given(masses, masses, st.floats(0, 3))
def test_more_certainty_asked_for_never_gives_more(
    found: np.ndarray, usual: np.ndarray, sigmas: float
) -> None:
    more, less = (surplus(found, usual, 1.0, z) for z in (sigmas, sigmas + 1))
    assert (less <= more).all()
    assert (more >= 0).all()


def test_the_mean_weight_of_an_event_counts_heavy_ones_more() -> None:
    assert mean_event_weight(np.array([1.0, 1.0])) == 1
    assert mean_event_weight(np.array([1.0, 3.0])) == 10 / 4
    assert mean_event_weight(np.empty(0)) == 1


def test_a_shortlist_is_the_positive_head_with_ties_by_index() -> None:
    found = shortlist(np.array([0.0, 2.0, 1.0, 2.0, -1.0]), 2)
    assert found.items.tolist() == [1, 3]
    assert found.scores.tolist() == [2, 2]
    assert (found.items.dtype, found.scores.dtype) == (np.int32, np.float32)
    assert len(shortlist(np.zeros(3), 2).items) == 0
    assert set(found.arrays("trend")) == {"shortlist_trend_items", "shortlist_trend_score"}
