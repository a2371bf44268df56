from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.slate import Slate
from tests.bundles import AT, viewed
from tests.rankers import ranked_bundle

BUNDLE = ranked_bundle(candidates=12)
WHOLE = Placement("next", exclude=("dismissed",), objective="path", path_floor=0.0)

sessions = st.lists(st.integers(0, 19), min_size=1, max_size=6)
floors = st.floats(0.05, 1)


def ask(session: list[int], place: Placement, limit: int = 8) -> Slate:
    query = Query(at=AT, placement="next", session=viewed(*session), limit=limit)
    return recommend(query, BUNDLE, place, TopPolicy())


def shown(slate: Slate) -> list[tuple[str, float]]:
    return [(item.item_id, item.score) for item in slate.items]


@settings(deadline=None, max_examples=40)
@given(sessions, floors, st.integers(1, 12))
def test_a_path_ends_with_the_last_item_that_is_worth_it(
    session: list[int], floor: float, limit: int
) -> None:
    whole = shown(ask(session, WHOLE, limit))
    short = shown(ask(session, replace(WHOLE, path_floor=floor), limit))
    # Scores of a slate are rounded on their way out; none of these is that near to the floor.
    kept = [each for each in whole if each[1] >= floor * whole[0][1]]
    assert short == kept


def test_it_is_short_where_one_item_stands_out_and_long_where_none_does() -> None:
    lengths = {len(shown(ask([item], replace(WHOLE, path_floor=0.5)))) for item in range(19)}
    assert min(lengths) < 4 < max(lengths)


@settings(deadline=None, max_examples=20)
@given(sessions, floors, st.sampled_from(["next_step", "purchase"]))
def test_other_objectives_have_the_length_asked_for(
    session: list[int], floor: float, objective: str
) -> None:
    place = replace(WHOLE, objective=objective)
    assert ask(session, replace(place, path_floor=floor)) == ask(session, place)


@settings(deadline=None, max_examples=40)
@given(sessions, floors)
def test_of_a_short_list_no_more_is_personal_than_of_a_long_one(
    session: list[int], floor: float
) -> None:
    place = replace(WHOLE, path_floor=floor)
    free, half = ask(session, place), ask(session, replace(place, max_changed_share=0.5))
    assert len(shown(half)) == len(shown(free))
    assert half.changed_share is not None
    assert half.changed_share <= 0.5


def test_what_nothing_is_known_for_is_not_shortened() -> None:
    slate = recommend(
        Query(at=AT, placement="next", limit=6),
        BUNDLE,
        replace(WHOLE, path_floor=1.0),
        TopPolicy(),
    )
    assert len(slate.items) == 6


@pytest.mark.parametrize("floor", [0.0, 1.0])
def test_there_is_always_a_first_item(floor: float) -> None:
    for item in range(19):
        assert shown(ask([item], replace(WHOLE, path_floor=floor)))
