from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recommender.terms import BoolArray, Int32Array
from training.simulation.closeness import relations, times_in

LEAVES = 6
VISITS = st.integers(0, 4)
PLACES = st.integers(0, 6)


@st.composite
def numbers(draw: st.DrawFn, *shape: int) -> Int32Array:
    """Items or leaves, -1 for none."""
    found: Int32Array = draw(arrays.arrays(np.int32, shape, elements=st.integers(-1, LEAVES - 1)))
    return found


@given(st.data(), VISITS, PLACES, st.integers(0, 5))
def test_a_memory_is_counted(data: st.DataObject, visits: int, places: int, size: int) -> None:
    items, memory = data.draw(numbers(visits, places)), data.draw(numbers(visits, size))
    expected = [
        [remembered.tolist().count(item) if item >= 0 else 0 for item in listed.tolist()]
        for listed, remembered in zip(items, memory, strict=True)
    ]
    found = times_in(items, memory)
    assert found.shape == items.shape
    assert found.tolist() == expected


@given(st.data(), VISITS, PLACES)
def test_a_relation_is_the_nearest_that_holds(
    data: st.DataObject, visits: int, places: int
) -> None:
    leaf, need = data.draw(numbers(visits, places)), data.draw(numbers(visits))
    interests = data.draw(numbers(visits, 4))
    is_browsing: BoolArray = data.draw(arrays.arrays(np.bool_, visits))
    # A tree: leaves of one section are of one department. The last place is that of no leaf.
    section = np.array([0, 0, 1, 1, 2, 2, -1], np.int32)
    department = np.array([0, 0, 0, 0, 1, 1, -1], np.int32)
    found = relations(leaf, need, department, section, interests, is_browsing)
    for visit, place in np.ndindex(leaf.shape):
        own, needed = leaf[visit, place], need[visit]
        if own == needed:
            expected = 0
        elif section[own] == section[needed] or (is_browsing[visit] and own in interests[visit]):
            expected = 1
        elif department[own] == department[needed]:
            expected = 2
        else:
            expected = 3
        assert found[visit, place] == expected
