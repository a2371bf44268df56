from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.exploration import fits
from recommender.draws import SEED_BITS, Draws, seed_of
from recommender.errors import ConfigError
from recommender.exploration import ExploringPolicy, Slots, drawn, likelihood
from recommender.explore_settings import NO_EXPLORATION, ExploreSettings
from recommender.listing import Listing
from recommender.merchandising.active import bind
from recommender.merchandising.shop_rules import PinRule, ShopRules
from recommender.pipeline import recommend
from recommender.placements import Placement, parse_placements, read_placements
from recommender.policy import Choice, Leeway, TopPolicy
from recommender.query import Query
from recommender.ranking import Origin
from recommender.slate import Slate
from recommender.terms import PERSONALISED, POPULAR
from tests.bundles import AT, knowing_bundle, viewed
from tests.recommender.test_dose import default_of, keys, places, queries, shares

POLICY = ExploringPolicy()
BUNDLE = knowing_bundle()


def ranking_of(scores: list[float], popular: int = 0) -> Listing:
    """A ranking with these scores; the last `popular` come from another rung."""
    n, own = len(scores), np.array(scores, np.float32).tolist()
    levels = [PERSONALISED] * (n - popular) + [POPULAR] * popular
    return Listing([*range(n)], own, [Origin("als", level) for level in levels])


def choices(
    scores: list[float], limit: int, seed: int, leeway: Leeway | None = None, **settings: float
) -> list[Choice]:
    leeway = leeway or Leeway(ExploreSettings(**settings))  # type: ignore[arg-type]
    return POLICY.choose(ranking_of(scores), limit, leeway, seed)


settings = st.builds(
    ExploreSettings,
    epsilon=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    position=st.integers(0, 6),
    reach=st.integers(0, 6),
    temperature=st.sampled_from([0.0, 0.01, 1.0]),
    gap=st.sampled_from([0.0, 0.1, 2.0]),
)
rankings = st.builds(
    ranking_of,
    st.lists(st.floats(0, 1, width=32), max_size=12).map(lambda s: sorted(s, reverse=True)),
)


@st.composite
def leeways(draw: st.DrawFn) -> Leeway:
    spare = draw(st.integers(0, 4))
    below = replace(ranking_of([0.1] * spare), items=[*range(100, 100 + spare)])
    return Leeway(
        draw(settings),
        draw(st.frozensets(st.integers(0, 11), max_size=4)),
        draw(st.none() | st.frozensets(st.integers(0, 11))),
        below,
        draw(st.booleans()),
    )


@given(rankings, st.integers(1, 8), leeways(), st.integers(0, 2**53 - 1))
def test_every_slot_is_drawn_from_probabilities_that_sum_to_one(
    ranking: Listing, limit: int, leeway: Leeway, seed: int
) -> None:
    slots = Slots(ranking, limit, leeway)
    chosen = POLICY.choose(ranking, limit, leeway, seed)
    for slot, choice in enumerate(chosen):
        options = slots.options(slot)
        assert math.fsum(each.propensity for each in options) == pytest.approx(1, abs=1e-12)
        assert all(0 < each.propensity <= 1 for each in options)
        assert len({each.row for each in options}) == len(options)
        if not leeway.settings.is_idle:
            assert choice in options
        slots.take(choice.row)
    rows = [choice.row for choice in chosen]
    assert len(rows) == len(set(rows)) == min(limit, len(ranking))
    assert all(row < len(ranking) + len(leeway.spare) for row in rows)
    assert chosen == POLICY.choose(ranking, limit, leeway, seed)
    if not leeway.settings.is_idle:
        assert likelihood(ranking, limit, leeway, rows) == [each.propensity for each in chosen]


@given(rankings, st.integers(1, 8), leeways(), st.integers(0, 2**53 - 1))
def test_what_must_stay_stays(ranking: Listing, limit: int, leeway: Leeway, seed: int) -> None:
    chosen = POLICY.choose(ranking, limit, leeway, seed)
    for slot, choice in enumerate(chosen):
        if slot in leeway.fixed:
            assert choice == (slot, 1.0)
        elif choice.row >= len(chosen):
            assert choice.row not in leeway.fixed
    brought_in = [c.row for c in chosen if c.row >= len(ranking)]
    assert len(brought_in) <= 1
    if brought_in and leeway.replaceable is not None:
        assert {c.row for c in chosen} & leeway.replaceable != leeway.replaceable


def test_without_a_seed_or_without_settings_it_is_the_top_of_the_ranking() -> None:
    ranking, on = ranking_of([3, 2, 1]), Leeway(ExploreSettings(1.0, temperature=9, gap=9))
    for leeway, seed in ((on, None), (Leeway(NO_EXPLORATION), 7)):
        assert POLICY.choose(ranking, 2, leeway, seed) == TopPolicy().choose(ranking, 2)


def test_the_exploring_slot_shows_what_stands_below_with_epsilon() -> None:
    slots = Slots(ranking_of([5, 4, 3, 2, 1]), 2, Leeway(ExploreSettings(0.3)))
    assert slots.options(0) == [(0, 1.0)]
    assert slots.options(1) == [
        (1, 0.7),
        (2, pytest.approx(0.1)),
        (3, pytest.approx(0.1)),
        (4, pytest.approx(0.1)),
    ]


def test_the_exploring_slot_goes_up_to_the_first_item_that_may_change() -> None:
    leeway = Leeway(ExploreSettings(0.5, reach=1), fixed={3}, replaceable={0, 1})
    slots = Slots(ranking_of([5, 4, 3, 2, 1]), 4, leeway)
    assert [len(slots.options(slot)) for slot in range(4)] == [1, 2, 1, 1]


def test_near_ties_are_drawn_by_their_scores() -> None:
    ranking, leeway = (
        ranking_of([1.0, 0.95, 0.5]),
        Leeway(ExploreSettings(temperature=0.05, gap=0.1)),
    )
    first, second = Slots(ranking, 3, leeway).options(0)
    assert first.propensity == pytest.approx(math.e / (1 + math.e), rel=1e-5)
    assert second.propensity == pytest.approx(1 / (1 + math.e), rel=1e-5)
    slots = Slots(ranking, 3, leeway)
    slots.take(1)
    assert slots.options(1) == [(0, 1.0)]


def test_items_of_another_rung_are_no_near_ties() -> None:
    leeway = Leeway(ExploreSettings(temperature=1, gap=1))
    assert Slots(ranking_of([1, 1, 1], popular=2), 3, leeway).options(0) == [(0, 1.0)]


@pytest.mark.parametrize("temperature", [1e-9, 1e6])
def test_extreme_temperatures_stay_finite(temperature: float) -> None:
    chosen = choices([1, 0.9, 0.8], 3, 5, temperature=temperature, gap=9)
    assert all(0 < each.propensity <= 1 for each in chosen)


def test_rows_that_cannot_be_shown_have_no_likelihood() -> None:
    leeway = Leeway(ExploreSettings(0.5, reach=1))
    assert likelihood(ranking_of([4, 3, 2, 1]), 2, leeway, [0, 3]) == [1.0, 0.0]
    assert likelihood(ranking_of([4, 3, 2, 1]), 2, leeway, [0, 2]) == [1.0, 0.5]


def test_draws_follow_the_logged_probabilities() -> None:
    # The long run: make bench-exploration.
    assert all(fit.p_value > 1e-4 for fit in fits(draws=4_000, seed=3))


def test_draws_are_the_published_numbers() -> None:
    # First outputs of SplitMix64 for the seed 1234567, as in the reference implementation's tests.
    draws = Draws(1234567)
    assert [draws.word() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    assert all(0 <= Draws(seed).uniform() < 1 for seed in range(1000))


@given(st.text())
def test_seeds_fit_into_a_double(name: str) -> None:
    assert int(float(seed_of(name))) == seed_of(name) < 2**SEED_BITS


def test_a_number_in_0_1_finds_its_option() -> None:
    options = [Choice(4, 0.25), Choice(2, 0.75)]
    assert [drawn(options, u).row for u in (0.0, 0.2499, 0.25, 1 - 2**-53)] == [4, 4, 2, 2]


def exploring(place: Placement, **parts: object) -> Placement:
    given = {"epsilon": 1.0, "temperature": 1.0, "gap": 2.0} | parts
    return replace(place, explore=ExploreSettings(**given))  # type: ignore[arg-type]


def ask(asked: Query, place: Placement) -> Slate:
    return recommend(asked, BUNDLE, place, POLICY)


@given(queries, places, shares, st.integers(0, 2**53 - 1))
@example(
    Query(AT, "cart", 1, kinds=("buy_again", "resume", "category", "search"), history=viewed(0)),
    read_placements()["cart"],
    0.0,
    0,
)
def test_an_exploring_list_keeps_its_promises(
    asked: Query, place: Placement, share: float, seed: int
) -> None:
    place = replace(exploring(place), max_changed_share=share)
    slate, plain = ask(asked.but(seed=seed), place), ask(asked, place)
    assert slate == ask(asked.but(seed=seed), place)
    assert len(slate.entries) == len(plain.entries) or len(plain.items) < asked.limit
    assert len({each.item_id for each in slate.items}) == len(slate.items)
    for kind in place.at_most:
        most = max(place.at_most[kind], sum(each.kind == kind for each in plain.items))
        assert sum(each.kind == kind for each in slate.items) <= most
    if asked.personalize == "off" or not share:
        assert slate.explored.seed is None
        assert slate.items == plain.items
    if slate.changed_share is not None and (default := {*keys(default_of(asked, place))}):
        changed = sum(key not in default for key in keys(slate))
        assert changed / max(len(slate.entries), 1) == pytest.approx(slate.changed_share)


@given(queries, places, st.integers(0, 2**53 - 1))
def test_it_shows_only_what_may_be_shown(asked: Query, place: Placement, seed: int) -> None:
    slate = ask(asked.but(seed=seed), exploring(replace(place, max_changed_share=1.0)))
    shown = {each.item_id for each in slate.items}
    assert not shown & asked.exclude_items
    assert not shown & {each.item_id for each in slate.fatigue.changes if each.cap}
    propensities = [each.propensity for each in slate.items]
    assert all(0 < each <= 1 for each in propensities)
    chance = [each.position for each in slate.items if each.propensity < 1]
    assert slate.explored.slots == tuple(chance)
    logged = {item_id for item_id, _ in slate.candidates}
    assert shown <= logged or len(slate.items) > len(logged)


def test_what_rules_placed_is_not_explored() -> None:
    place, pin = (
        exploring(Placement("next", exclude=())),
        PinRule(name="pin", items=(("item-11", 2),)),
    )
    rules = bind(ShopRules("v-1", (pin,)), BUNDLE.catalogue)
    asked = Query(at=AT, placement="next", limit=4, session=viewed(2, 4, 2))
    for seed in range(30):
        slate = recommend(asked.but(seed=seed), BUNDLE, place, POLICY, rules)
        assert slate.items[1].item_id == "item-11"
        assert slate.items[1].propensity == 1
        assert 4 in slate.explored.slots


def test_an_anonymous_question_is_explored_only_with_a_seed() -> None:
    asked = Query(at=AT, placement="next", limit=5, session=viewed(2, 4, 2))
    place = exploring(Placement("next"))
    seeds = range(40)
    lists = {tuple(keys(ask(asked.but(seed=seed), place))) for seed in seeds}
    assert len(lists) > 10
    assert ask(asked, place).explored.settings == NO_EXPLORATION


def test_settings_are_read_for_all_and_for_one() -> None:
    raw = {
        "explore": {"epsilon": 0.1},
        "placements": {"a": {}, "b": {"explore": {"epsilon": 0, "temperature": 0.5, "gap": 1}}},
    }
    read = parse_placements(raw)
    assert read["a"].explore == ExploreSettings(epsilon=0.1)
    assert read["a"].explore.scheme == "slot"
    assert read["b"].explore.scheme == "near_ties"
    assert Counter(place.explore.epsilon for place in read_placements().values()) == {0.05: 6}


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"epsilon": 1.5}, "epsilon=1.5; accepted: 0 to 1"),
        ({"reach": 1.5}, "reach=1.5"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"slots": 2}, "unknown key"),
        (3, "accepted: a table"),
    ],
)
def test_bad_settings_are_refused(table: object, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_placements({"explore": table, "placements": {"a": {}}})
