from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recommender.exposures import (
    DAY_MICROS,
    MOST_COUNTED,
    NONE_IGNORED,
    SHIPPED_PLACEMENTS,
    Exposure,
    IgnoredLists,
    Moment,
    ignored_exposures,
    ignored_lists,
    is_ours,
    last_taken_up,
    session_start,
)
from recommender.placements import read_placements

NOW = Moment(at=10 * DAY_MICROS, session_start=10 * DAY_MICROS - 100)


def test_the_shipped_placements_are_ours() -> None:
    assert set(read_placements()) == SHIPPED_PLACEMENTS


def test_a_list_is_ours_by_its_answer_or_its_place() -> None:
    assert is_ours("r1", None, frozenset())
    assert is_ours(None, "home", frozenset({"home"}))
    assert not is_ours(None, "bestsellers", frozenset({"home"}))
    assert not is_ours(None, None, frozenset({"home"}))


def test_what_was_shown_since_the_last_interaction_was_ignored() -> None:
    at = NOW.at
    shown = {
        "never touched": (at - 8 * DAY_MICROS, at - 2 * DAY_MICROS, at - 50),
        "touched": (at - 60, at - 40),
        "touched at that moment": (at - 40,),
        "shown later": (at - 10, at + 1),
    }
    touched = {"touched": at - 50, "touched at that moment": at - 40}
    assert ignored_exposures(shown, touched, NOW) == (
        Exposure("never touched", 3, 1, 2, at - 50),
        Exposure("touched", 1, 1, 1, at - 40),
        Exposure("shown later", 1, 1, 1, at - 10),
    )


def test_no_more_than_so_many_are_counted() -> None:
    times = tuple(NOW.at - 90 + n for n in range(20))
    assert ignored_exposures({"a": times}, {}, NOW)[0].ignored == MOST_COUNTED


def test_lists_are_ignored_until_a_suggestion_is_taken_up() -> None:
    at = NOW.at
    lists = [at - 2 * DAY_MICROS, at - DAY_MICROS // 2, at - 60, at - 30, at + 1]
    assert ignored_lists(lists, -1, NOW) == IgnoredLists(2, 3)
    assert ignored_lists(lists, at - 60, NOW) == IgnoredLists(1, 1)
    assert ignored_lists([], -1, NOW) == NONE_IGNORED


def test_only_what_was_shown_before_can_be_taken_up() -> None:
    exposures = {"a": (10,), "b": (30,)}
    done = [("a", "view_item", 5), ("b", "view_item", 20), ("c", "view_item", 40)]
    assert last_taken_up(done, exposures, 100) == -1
    assert last_taken_up([*done, ("a", "select_item", 10)], exposures, 100) == 10
    assert last_taken_up([("a", "dismiss", 50)], exposures, 100) == -1
    assert last_taken_up([("a", "select_item", 50)], exposures, 40) == -1


def test_a_session_is_the_chain_of_moments_that_reaches_now() -> None:
    assert session_start([10, 50, 70, 95], at=100, gap=25) == 50
    assert session_start([10, 50, 95, 200], at=100, gap=5) == 95
    assert session_start([10], at=100, gap=5) == 100
    assert session_start([], at=100, gap=5) == 100


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(st.integers(0, 30), min_size=1, unique=True).map(sorted)
    ),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 30)),
    st.integers(0, 30),
)
def test_nothing_after_the_moment_counts(
    shown: dict[str, list[int]], touched: dict[str, int], at: int
) -> None:
    moment = Moment(at, 0)
    known = {item: [ts for ts in times if ts <= at] for item, times in shown.items()}
    assert ignored_exposures(shown, touched, moment) == ignored_exposures(known, touched, moment)
