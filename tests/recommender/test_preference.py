from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.interleaving import FIRST, SECOND
from recommender.preference import credits_of, preference


def test_credit_goes_to_the_team_of_a_competitive_place() -> None:
    places = [(FIRST, True), (SECOND, True), (FIRST, False)]
    assert credits_of(places, [1.0, 0.0, 5.0]) == (1.0, 0.0)
    assert credits_of(places, [1.0, 2.0, 5.0], competitive_only=False) == (6.0, 2.0)


def test_the_preference_by_hand() -> None:
    found = preference(np.array([1.0, 2.0, 0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0, 1.0, 0.0]))
    assert (found.wins, found.losses, found.ties) == (2, 1, 1)
    assert found.value == 0.25
    assert found.standard_error == pytest.approx(math.sqrt((0.75 - 0.0625) / 4))
    assert found.low < 0 < found.high


def test_nobody_prefers_nothing() -> None:
    found = preference(np.zeros(3), np.zeros(3))
    assert (found.value, found.low, found.high) == (0.0, -1.0, 1.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_swapping_the_rankings_turns_the_sign(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, np.float64).T
    there, back = preference(one, other), preference(other, one)
    assert there.value == -back.value
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_credits_of_other_subjects_are_refused() -> None:
    with pytest.raises(ValueError, match="accepted: as many"):
        preference(np.zeros(3), np.zeros(2))
