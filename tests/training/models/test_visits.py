from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.terms import ADD_TO_CART, DISMISS, VIEW_ITEM
from tests.training.known import WEIGHTS, Row, known
from training.models.visits import Visits, visits_of

MINUTE = 1 / 1_440

rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 5),
        st.sampled_from([VIEW_ITEM, ADD_TO_CART, DISMISS]),
        st.integers(0, 2_000).map(lambda minute: minute * MINUTE),
    ),
    max_size=30,
)


def listed(visits: Visits) -> list[list[int]]:
    bounds = visits.offsets.tolist()
    return [visits.items[a:b].tolist() for a, b in pairwise(bounds)]


def test_visits_are_in_the_order_of_their_ends() -> None:
    done = [
        (0, 1, VIEW_ITEM, 5.0),
        (0, 2, VIEW_ITEM, 5.01),
        (0, 3, VIEW_ITEM, 9.0),  # alone: no visit of two
        (1, 4, VIEW_ITEM, 4.99),
        (1, 4, ADD_TO_CART, 4.995),
        (1, 0, DISMISS, 4.999),  # no interest
        (2, 0, VIEW_ITEM, 1.0),
        (2, 5, VIEW_ITEM, 1.01),
    ]
    assert listed(visits_of(known(done, 6), WEIGHTS)) == [[0, 5], [4, 4], [1, 2]]


def test_the_latest_visits_are_the_last_ones() -> None:
    done = [(s, i, VIEW_ITEM, 10.0 * s + i * MINUTE) for s in range(4) for i in range(s + 2)]
    visits = visits_of(known(done, 9), WEIGHTS)
    assert len(visits) == 4
    assert listed(visits.latest(2)) == [[0, 1, 2, 3], [0, 1, 2, 3, 4]]
    assert listed(visits.latest(99)) == listed(visits)


@settings(deadline=None)
@given(rows)
def test_nothing_is_lost_and_the_arrays_agree_with_each_other(done: list[Row]) -> None:
    events = known(done, 6)
    visits = visits_of(events, WEIGHTS)
    of_interest = WEIGHTS[events.event_code] > 0
    sizes = np.bincount(events.session[of_interest]) if of_interest.any() else np.zeros(0, int)
    assert len(visits.items) == sizes[sizes > 1].sum()
    assert sorted(np.diff(visits.offsets).tolist()) == sorted(sizes[sizes > 1].tolist())
    if not len(visits):
        return
    arrays = visits.arrays()
    bounds = arrays["item_sessions_offsets"]
    for item in range(6):
        holders = arrays["item_sessions"][bounds[item] : bounds[item + 1]].tolist()
        assert holders == [n for n, visit in enumerate(listed(visits)) if item in visit]
    assert {name: str(each.dtype) for name, each in arrays.items()} == {
        "session_items": "int32",
        "session_offsets": "int64",
        "item_sessions": "int32",
        "item_sessions_offsets": "int64",
    }


@pytest.mark.parametrize("done", [[], [(0, 1, VIEW_ITEM, 1.0)], [(0, 1, DISMISS, 1.0)] * 2])
def test_without_two_steps_together_there_is_no_visit(done: list[Row]) -> None:
    visits = visits_of(known(done, 3), WEIGHTS)
    assert len(visits) == 0
    assert visits.offsets.tolist() == [0]
