from __future__ import annotations

import math
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.interleaving import (
    FIRST,
    SECOND,
    START,
    Interleaving,
    Pick,
    fair_coin,
    interleaved,
    team_draft,
)
from recommender.slate import Slate, SlateItem, SlateWay

rankings = st.lists(st.sampled_from("ABCDEFGH"), unique=True, max_size=8)
seeds = st.integers(0, 2**64 - 1)


def slate_of(items: str, level: str = "personalised") -> Slate:
    listed = tuple(
        SlateItem(name, place, 1.0 / place, "item", "als", "similar", 1.0)
        for place, name in enumerate(items, 1)
    )
    scored = tuple((item.item_id, item.score) for item in listed)
    return Slate(listed, level, "top", 9, candidates=scored)


@given(rankings, rankings, seeds, st.integers(0, 20))
def test_it_is_a_draft(first: list[str], second: list[str], seed: int, limit: int) -> None:
    picks, state = team_draft(first, second, limit, fair_coin(seed))
    items = [each.item_id for each in picks]
    assert items == list(state.taken)
    assert len(set(items)) == len(items) == min(limit, len({*first, *second}))
    assert picks == team_draft(first, second, limit, fair_coin(seed))[0]
    taken = set[str]()
    counts = [0, 0]
    for pick in picks:
        # Each takes its best item that is left.
        ranking = (first, second)[pick.team]
        assert pick.item_id == next(item for item in ranking if item not in taken)
        taken.add(pick.item_id)
        counts[pick.team] += 1
        left = [any(item not in taken for item in each) for each in (first, second)]
        assert not all(left) or abs(counts[FIRST] - counts[SECOND]) <= 1


@given(rankings, rankings, seeds, st.lists(st.integers(0, 3), max_size=9))
def test_pages_continue_the_draft(
    first: list[str], second: list[str], seed: int, sizes: list[int]
) -> None:
    state, pages = START, list[Pick]()
    for size in sizes:
        picks, state = team_draft(first, second, size, fair_coin(seed), state)
        pages += picks
    assert pages == team_draft(first, second, sum(sizes), fair_coin(seed))[0]


@given(rankings, rankings, rankings, seeds)
def test_rankings_that_changed_repeat_nothing(
    first: list[str], second: list[str], later: list[str], seed: int
) -> None:
    page, state = team_draft(first, second, 3, fair_coin(seed))
    more, _ = team_draft(later, second, 9, fair_coin(seed), state)
    assert not {each.item_id for each in page} & {each.item_id for each in more}


@given(
    st.lists(st.sampled_from("ABCD"), unique=True, max_size=4),
    st.lists(st.sampled_from("ABCDE"), unique=True, max_size=4),
)
def test_the_propensities_are_those_of_all_coins(first: list[str], second: list[str]) -> None:
    lists: dict[tuple[str, ...], float] = defaultdict(float)
    logged: dict[tuple[str, ...], float] = {}
    for coins in product((FIRST, SECOND), repeat=8):
        picks, _ = team_draft(first, second, 9, coins.__getitem__)
        items = tuple(each.item_id for each in picks)
        lists[items] += 1 / 2**8
        propensity = math.prod(each.propensity for each in picks)
        assert logged.setdefault(items, propensity) == propensity
    assert logged == pytest.approx(lists)


def test_either_ranking_begins_half_of_the_time() -> None:
    begun = [fair_coin(seed)(0) for seed in range(10_000)]
    assert 0.48 < np.mean(begun) < 0.52
    later = [fair_coin(seed)(7) for seed in range(10_000)]
    assert abs(np.corrcoef(begun, later)[0, 1]) < 0.04


@given(seeds)
def test_identical_rankings_are_never_competitive(seed: int) -> None:
    picks, _ = team_draft("ABCDE", "ABCDE", 5, fair_coin(seed))
    assert not any(each.competitive for each in picks)
    assert all(each.propensity == 1.0 for each in picks)


def test_who_does_not_take_part_gets_the_first_slate_alone() -> None:
    def other() -> Slate:
        raise AssertionError("the other slate was made")

    first = slate_of("ABC")
    assert interleaved(first, other, None) == (first, START)


def test_two_slates_become_one_with_teams() -> None:
    first, other = slate_of("ABC", "popular"), slate_of("DAE")
    slate, state = interleaved(first, lambda: other, Interleaving(("old", "new"), 4, seed=1))
    assert [item.position for item in slate.items] == [1, 2, 3, 4]
    assert {item.team for item in slate.items} == {"old", "new"}
    assert [item.item_id for item in slate.items] == list(state.taken)
    assert slate.policy == "team_draft"
    assert slate.fallback_level == "personalised"
    assert {name for name, _ in slate.candidates} == set("ABCDE")
    assert slate.items[0].propensity == 0.5


def test_ways_keep_their_positions() -> None:
    way = SlateWay("category", "c", 2, 1.0, "way", 1.0, 0.1)
    first = slate_of("AB")
    first = Slate(first.items, "personalised", "top", 9, ways=(way,))
    slate, _ = interleaved(first, lambda: slate_of("CD"), Interleaving(("a", "b"), 3, seed=3))
    assert [each.position for each in slate.entries] == [1, 2, 3, 4]
    assert slate.entries[1] is way
