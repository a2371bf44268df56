from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.seeds import NO_SEEDS, PART_CODES, Seeds
from recommender.terms import EVENT_CODES, VIEW_ITEM, Float64Array
from training.known_events import KnownEvents
from training.models.encoder_questions import encoder_questions

ITEMS = 5
VIEW = EVENT_CODES[VIEW_ITEM]
# Of each shopper the pauses before their events and the items: a pause of 0 is the same moment.
Ways = list[list[tuple[int, int]]]

ways_of_shoppers = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, ITEMS - 1)), min_size=1, max_size=12),
    min_size=1,
    max_size=5,
)


def weights() -> Float64Array:
    found = np.zeros(max(EVENT_CODES.values()) + 1)
    found[VIEW] = 1.0
    return found


def events(ways: Ways, code: int = VIEW) -> KnownEvents:
    shopper = [number for number, way in enumerate(ways) for _ in way]
    ts = [int(t) for way in ways for t in 100 + np.cumsum([pause for pause, _ in way])]
    item = [item for way in ways for _, item in way]
    return KnownEvents(
        np.array(shopper, np.int32),
        np.array(item, np.int32),
        np.full(len(item), code, np.int32),
        np.array(shopper, np.int64),
        np.array(ts, np.int64),
        ITEMS,
        0,
        1_000,
    )


def seeds_before(way: list[tuple[int, int]], moment: int) -> Seeds:
    """What serving would know of a shopper at a moment of the way."""
    ts = 100 + np.cumsum([pause for pause, _ in way])
    known = [place for place in range(len(way)) if ts[place] < moment]
    if not known:
        return NO_SEEDS
    count = len(known)
    return Seeds(
        np.array([way[place][1] for place in known], np.int32),
        np.full(count, VIEW, np.int32),
        np.ones(count, np.float32),
        np.array([moment - ts[place] for place in known], np.float32),
        np.full(count, PART_CODES["session"], np.int32),
    )


@settings(deadline=None, max_examples=80)
@given(ways_of_shoppers, st.integers(1, 6))
def test_it_is_taught_with_what_serving_will_know(ways: Ways, depth: int) -> None:
    asked = encoder_questions(events(ways), weights(), depth, 10_000)
    expected = []
    for way in ways:
        ts = (100 + np.cumsum([pause for pause, _ in way])).tolist()
        for moment, (_, item) in zip(ts, way, strict=True):
            if len(seeds := seeds_before(way, moment)):
                met, lags = seeds.distinct(depth)
                expected.append((met.tolist(), lags.tolist(), item))
    found = []
    for row, item in zip(*asked.answers(np.arange(len(asked))), strict=True):
        known = asked.met[row] >= 0
        found.append((asked.met[row][known].tolist(), asked.lags[row][known].tolist(), item))
    assert sorted(found) == sorted(expected)


@settings(deadline=None, max_examples=80)
@given(ways_of_shoppers)
def test_all_of_a_moment_is_one_question(ways: Ways) -> None:
    asked = encoder_questions(events(ways), weights(), 3, 10_000)
    expected = []
    for way in ways:
        ts = (100 + np.cumsum([pause for pause, _ in way])).tolist()
        for moment in sorted(set(ts) - {ts[0]}):
            came = sorted(item for (_, item), at in zip(way, ts, strict=True) if at == moment)
            expected.append(came)
    found = [each.tolist() for each in np.split(asked.came, asked.begins[1:-1])]
    assert sorted(found if len(asked) else []) == sorted(expected)
    assert asked.sizes.tolist() == [len(each) for each in found if each]


def test_what_came_is_told_by_the_place_of_its_moment() -> None:
    ways: Ways = [[(0, 0), (1, 3), (0, 1), (5, 2)]]
    asked = encoder_questions(events(ways), weights(), 3, 10_000)
    place, came = asked.answers(np.array([1, 0]))
    assert place.tolist() == [0, 1, 1]
    assert came.tolist() == [2, 1, 3]


@settings(deadline=None, max_examples=40)
@given(ways_of_shoppers, st.integers(1, 20))
def test_how_shoppers_are_numbered_changes_nothing(ways: Ways, most: int) -> None:
    one = encoder_questions(events(ways), weights(), 4, most)
    other = encoder_questions(events(ways[::-1]), weights(), 4, most)
    assert np.array_equal(one.came, other.came)
    assert np.array_equal(one.begins, other.begins)
    assert np.array_equal(one.met, other.met)
    assert np.array_equal(one.lags, other.lags)


@settings(deadline=None, max_examples=40)
@given(ways_of_shoppers, st.integers(1, 10))
def test_the_latest_moments_are_kept_whole(ways: Ways, most: int) -> None:
    all_of_them = encoder_questions(events(ways), weights(), 3, 10_000)
    some = encoder_questions(events(ways), weights(), 3, most)
    assert len(some.came) >= min(most, len(all_of_them.came))
    if len(all_of_them.came) <= most:
        assert np.array_equal(some.came, all_of_them.came)
    taken = len(all_of_them) - len(some)
    assert some.sizes.tolist() == all_of_them.sizes[taken:].tolist()


def test_of_two_shoppers_the_later_is_kept() -> None:
    ways: Ways = [[(0, 0), (1, 1)], [(50, 2), (1, 3)]]
    assert encoder_questions(events(ways), weights(), 3, 1).came.tolist() == [3]


def test_what_is_no_interest_is_no_step() -> None:
    other = next(code for code in EVENT_CODES.values() if code != VIEW)
    assert len(encoder_questions(events([[(0, 1), (1, 2)]], other), weights(), 3, 10)) == 0
