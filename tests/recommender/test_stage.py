from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.behaviour import Behaviour
from recommender.errors import InvalidInputError
from recommender.query import Interaction
from recommender.stage import (
    STAGE_CODES,
    STAGES,
    StageLimits,
    behaviour_of,
    expected_interval,
    stage_of,
)
from recommender.terms import INTERACTION_TYPES

DAY = 86_400_000_000
NOW = 20_000 * DAY
MONTH_SECONDS = 30 * 86_400.0


def bought(times: int, every_days: int = 30, days_ago: int = 5, **more: int) -> Behaviour:
    """Purchases of one line each, the last one so many days ago."""
    last = NOW - days_ago * DAY
    first = last - (times - 1) * every_days * DAY
    return Behaviour(times, times, first, last, **more)


def at(behaviour: Behaviour) -> str:
    return stage_of(behaviour, NOW, MONTH_SECONDS)


@pytest.mark.parametrize(
    ("behaviour", "stage"),
    [
        (Behaviour(), "prospect"),
        (Behaviour(wishes=9, shares=9, reviews=9), "prospect"),
        (bought(1), "first_time"),
        (bought(1, shares=1, reviews=1), "first_time"),
        (bought(2), "repeat"),
        (bought(2, wishes=9), "repeat"),
        (bought(3), "repeat"),
        (bought(3, wishes=2), "repeat"),
        (bought(3, wishes=3), "loyal"),
        (bought(4), "loyal"),
        (bought(2, shares=1), "repeat"),
        (bought(2, shares=1, reviews=1), "advocate"),
        (bought(9, reviews=2), "advocate"),
        (bought(1, days_ago=90), "first_time"),
        (bought(1, days_ago=91), "lapsing"),
        (bought(9, days_ago=200, reviews=5), "lapsing"),
    ],
)
def test_the_stage_of_each_behaviour(behaviour: Behaviour, stage: str) -> None:
    assert at(behaviour) == stage


def test_lapsing_is_relative_to_the_shopper_and_to_the_shop() -> None:
    yearly = bought(3, every_days=365, days_ago=300)
    assert at(yearly) == "repeat"
    weekly = bought(30, every_days=7, days_ago=60)
    assert at(weekly) == "lapsing"
    assert stage_of(bought(1, days_ago=200), NOW, 365 * 86_400.0) == "first_time"
    # (2 u + 2 g) / (2 + 2)
    assert expected_interval(yearly, MONTH_SECONDS) == (MONTH_SECONDS + 365 * 86_400) / 2
    assert expected_interval(bought(1), MONTH_SECONDS) == MONTH_SECONDS


def test_a_refund_undoes_a_purchase() -> None:
    once = [Interaction("a", "purchase", NOW - 9 * DAY)]
    refund = Interaction("a", "refund", NOW - DAY)
    assert at(behaviour_of(once, NOW)) == "first_time"
    assert at(behaviour_of([*once, refund], NOW)) == "prospect"
    twice = [*once, Interaction("b", "purchase", NOW - 5 * DAY)]
    assert at(behaviour_of([*twice, refund], NOW)) == "first_time"


def test_one_line_of_a_basket_given_back_undoes_nothing() -> None:
    basket = [Interaction(item, "purchase", NOW - 9 * DAY) for item in "abc"]
    refund = Interaction("a", "refund", NOW - DAY)
    behaviour = behaviour_of([*basket, refund], NOW)
    assert (behaviour.purchases, behaviour.kept_lines, behaviour.kept_purchases) == (1, 2, 1)


def test_codes_are_the_places() -> None:
    assert [STAGE_CODES[stage] for stage in STAGES] == list(range(6))


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="lapse_factor=0; accepted: above 0"):
        StageLimits(lapse_factor=0)


interactions = st.lists(
    st.builds(
        Interaction,
        st.sampled_from("abc"),
        st.sampled_from(INTERACTION_TYPES),
        st.integers(NOW - 400 * DAY, NOW + 30 * DAY),
    ),
    max_size=25,
)


@given(interactions, st.randoms(use_true_random=False))
def test_order_and_future_are_no_matter(done: list[Interaction], rng: random.Random) -> None:
    known = [each for each in done if each.ts <= NOW]
    shuffled = rng.sample(done, len(done))
    assert behaviour_of(shuffled, NOW) == behaviour_of(known, NOW)
    assert at(behaviour_of(done, NOW)) in STAGES


@given(interactions, st.integers(0, 400))
def test_time_alone_only_lets_lapse(done: list[Interaction], days: int) -> None:
    behaviour = behaviour_of(done, NOW)
    later = stage_of(behaviour, NOW + days * DAY, MONTH_SECONDS)
    assert later in (at(behaviour), "lapsing")


@given(interactions)
def test_speaking_for_the_shop_never_lowers_the_stage(done: list[Interaction]) -> None:
    behaviour = behaviour_of(done, NOW)
    louder = replace(behaviour, shares=behaviour.shares + 1, wishes=behaviour.wishes + 3)
    assert STAGE_CODES[at(louder)] >= STAGE_CODES[at(behaviour)]
