from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.exposures import MOST_COUNTED, Exposure, IgnoredLists
from recommender.fatigue_settings import FatigueSettings
from recommender.impression_discount import DEFAULT_DISCOUNT
from recommender.pipeline import recommend
from recommender.placements import Placement, parse_placements, read_placements
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.slate import Slate
from tests.bundles import AT, AT_MICROS, MINUTE, shop_bundle, shop_items, viewed

BUNDLE = shop_bundle()
ITEMS = {item.item_id: item for item in shop_items()}
REST = FatigueSettings(discount=True, item_per_session=3, item_per_week=5)
PLACE = Placement("next", exclude=("dismissed",), fatigue=REST)


def ask(placement: Placement = PLACE, **parts: object) -> Slate:
    query = Query(**({"at": AT, "placement": "next", "limit": 5} | parts))  # type: ignore[arg-type]
    return recommend(query, BUNDLE, placement, TopPolicy())


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def ignored(item_id: str, times: int, ago: int = MINUTE) -> Exposure:
    return Exposure(item_id, times, times, times, AT_MICROS - ago)


def with_fatigue(**parts: object) -> Placement:
    return replace(PLACE, fatigue=FatigueSettings(**parts))  # type: ignore[arg-type]


# ---- nothing known -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(read_placements()))
def test_without_exposures_nothing_changes_at_any_shipped_placement(name: str) -> None:
    place = read_placements()[name]
    assert place.fatigue != FatigueSettings()
    for parts in ({}, {"session": viewed(2, 4)}, {"history": viewed(1), "limit": 30}):
        plain = ask(replace(place, fatigue=FatigueSettings()), **parts)
        assert ask(place, **parts) == plain


def test_an_impersonal_question_gets_the_same_answer_whoever_asks() -> None:
    tired = {"exposures": (ignored("item-00", 6),), "ignored_lists": IgnoredLists(99, 99)}
    place = with_fatigue(discount=True, item_per_session=1, session_budget=1, min_gain=1.0)
    assert ask(place, personalize="off", **tired) == ask(place, personalize="off")


# ---- discount and rotation ---------------------------------------------------------------------


@pytest.mark.parametrize("parts", [{}, {"session": viewed(2, 4)}, {"category": "kitchen"}])
def test_an_ignored_item_goes_down_by_its_discount_on_every_rung(parts: dict[str, object]) -> None:
    before = ids(ask(**parts, limit=15))
    slate = ask(**parts, limit=15, exposures=(ignored(before[0], 1),))
    place = ids(slate).index(before[0])
    share = float(DEFAULT_DISCOUNT[0, 0])
    # It stands behind what is stronger: r' = (1 + 10) / d - 10.
    assert place == int((1 + 10) / share - 10) - 1
    (change,) = slate.fatigue.changes
    assert change.item_id == before[0]
    assert (change.ignored, change.before, change.after, change.cap) == (1, 1, place + 1, None)
    assert change.discount == pytest.approx(share)
    scores = [item.score for item in slate.items]
    assert scores == sorted(scores, reverse=True)
    assert slate.fatigue.counts == (("discount", 1),)


def test_an_item_that_was_ignored_long_ago_goes_down_less() -> None:
    first = ids(ask(limit=15))[0]
    late, early = (
        ids(ask(limit=15, exposures=(ignored(first, 2, ago),))).index(first)
        for ago in (MINUTE, 20 * 24 * 60 * MINUTE)
    )
    assert 0 < early < late


def test_who_ignored_the_best_sellers_sees_others() -> None:
    before = ids(ask())
    after = ids(ask(exposures=tuple(ignored(each, 3) for each in before)))
    assert len(after) == 5
    assert not set(before) & set(after)


def test_exposures_of_items_that_the_model_does_not_know_change_nothing() -> None:
    assert ask(exposures=(ignored("never heard of", 5),)) == ask()


# ---- caps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exposure", "cap"),
    [
        (Exposure("item-00", 6, 3, 3, AT_MICROS), "item_per_session"),
        (Exposure("item-00", 6, 0, 5, AT_MICROS), "item_per_week"),
        (Exposure("item-00", 6, 2, 4, AT_MICROS), None),
    ],
)
def test_an_item_rests_after_so_many_showings(exposure: Exposure, cap: str | None) -> None:
    slate = ask(limit=100, exposures=(exposure,))
    assert ("item-00" in ids(slate)) == (cap is None)
    (change,) = slate.fatigue.changes
    assert change.cap == cap
    assert (change.after is None) == (cap is not None)


def test_when_everything_rests_the_answer_is_empty() -> None:
    everything = tuple(ignored(each, 3) for each in ITEMS)
    slate = ask(exposures=everything)
    assert ids(slate) == []
    assert not slate.fatigue.is_suppressed


def test_a_brand_rests_when_its_items_were_ignored_often() -> None:
    place = with_fatigue(brand_per_session=4)
    seen = (ignored("item-00", 2), ignored("item-01", 1))
    assert any(ITEMS[each].brand == "acme" for each in ids(ask(place, exposures=seen)))
    more = (*seen, ignored("item-02", 1))
    assert {ITEMS[each].brand for each in ids(ask(place, exposures=more))} == {"zenith"}
    others = (*seen, ignored("item-15", 3))
    assert any(ITEMS[each].brand == "acme" for each in ids(ask(place, exposures=others)))


def test_a_list_holds_at_most_its_share_of_a_brand_and_goes_on_with_others() -> None:
    listed = ids(ask(with_fatigue(brand_share=0.4), limit=5))
    assert Counter(ITEMS[each].brand for each in listed) == {"acme": 2, "zenith": 2}
    assert listed[:2] == ids(ask(limit=5))[:2]


def test_a_page_of_one_category_is_not_mixed() -> None:
    place = with_fatigue(category_share=0.2)
    assert len(ids(ask(place, category="kitchen", limit=5))) == 5
    assert len(ids(ask(place, filter={"category": "kitchen"}, limit=5))) == 5
    categories = [ITEMS[each].category for each in ids(ask(place, limit=5))]
    assert len(set(categories)) == len(categories)


# ---- attention budget and gain -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("lists", "acted"),
    [
        (IgnoredLists(2, 8), None),
        (IgnoredLists(3, 3), "session_budget"),
        (IgnoredLists(0, 9), "day_budget"),
    ],
)
def test_a_spent_budget_leaves_the_default_list(lists: IgnoredLists, acted: str | None) -> None:
    place = with_fatigue(session_budget=3, day_budget=9)
    slate = ask(place, session=viewed(2, 4), ignored_lists=lists)
    assert slate.fatigue.acted == acted
    assert slate.fallback_level == ("popular" if acted else "session")
    assert not slate.fatigue.is_suppressed
    ignoring = with_fatigue(session_budget=3, day_budget=9, when_spent="ignore")
    assert ask(ignoring, session=viewed(2), ignored_lists=lists) == ask(session=viewed(2))


def test_a_spent_budget_may_leave_nothing() -> None:
    place = with_fatigue(session_budget=3, when_spent="empty")
    slate = ask(place, session=viewed(2), ignored_lists=IgnoredLists(3, 3))
    assert slate.items == ()
    assert slate.fatigue.is_suppressed
    assert slate.fatigue.counts == (("session_budget", 1),)


@pytest.mark.parametrize("when", ["default", "empty"])
def test_below_the_gain_threshold_the_list_gives_way(when: str) -> None:
    parts = {"session": viewed(2, 4), "limit": 3}
    shown = ids(ask(**parts))
    tired = tuple(ignored(each, 4) for each in ITEMS if each in shown or int(each[-2:]) % 2 == 0)
    gain = ask(with_fatigue(discount=True), **parts, exposures=tired).fatigue.gain
    assert 0 < gain < 1
    place = with_fatigue(discount=True, min_gain=gain + 0.01, when_spent=when)
    slate = ask(place, **parts, exposures=tired)
    assert slate.fatigue.acted == "min_gain"
    assert slate.fatigue.is_suppressed == (when == "empty")
    assert (slate.items == ()) == (when == "empty")
    at_it = with_fatigue(discount=True, min_gain=gain, when_spent=when)
    assert ask(at_it, **parts, exposures=tired).fatigue.acted is None


# ---- properties --------------------------------------------------------------------------------

exposures_strategy = st.dictionaries(
    st.sampled_from(sorted(ITEMS)),
    st.tuples(st.integers(1, MOST_COUNTED), st.integers(0, MOST_COUNTED), st.integers(0, 10**12)),
    max_size=20,
).map(
    lambda drawn: tuple(
        Exposure(item, total, min(total, recent), total, AT_MICROS - ago)
        for item, (total, recent, ago) in sorted(drawn.items())
    )
)
settings_strategy = st.builds(
    FatigueSettings,
    discount=st.booleans(),
    rank_constant=st.sampled_from([0.0, 1.0, 10.0, 60.0]),
    item_per_session=st.integers(0, 3),
    item_per_week=st.integers(0, 6),
    brand_share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    category_share=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    brand_per_session=st.integers(0, 10),
    category_per_session=st.integers(0, 10),
    when_spent=st.sampled_from(["default", "empty", "ignore"]),
    min_gain=st.sampled_from([0.0, 0.5, 0.9]),
    session_budget=st.integers(0, 3),
)


@given(settings_strategy, exposures_strategy, st.integers(1, 20), st.booleans(), st.integers(0, 4))
def test_no_cap_is_exceeded_whatever_is_known(
    settings: FatigueSettings,
    exposures: tuple[Exposure, ...],
    limit: int,
    personal: bool,
    lists: int,
) -> None:
    slate = ask(
        replace(PLACE, fatigue=settings),
        limit=limit,
        session=viewed(2, 5) if personal else (),
        exposures=exposures,
        ignored_lists=IgnoredLists(lists, lists),
    )
    shown = ids(slate)
    assert len(set(shown)) == len(shown) <= limit
    known = {each.item_id: each for each in exposures}
    for item_id in shown:
        each = known.get(item_id)
        if each and settings.item_per_session:
            assert each.in_session < settings.item_per_session
        if each and settings.item_per_week:
            assert each.in_week < settings.item_per_week
    for share, attribute in (("brand_share", "brand"), ("category_share", "category")):
        most = max(1, int(getattr(settings, share) * limit))
        counts = Counter(getattr(ITEMS[item_id], attribute) for item_id in shown)
        assert getattr(settings, share) == 1 or max(counts.values(), default=0) <= most
    for cap, attribute in (("brand_per_session", "brand"), ("category_per_session", "category")):
        counts = Counter()
        for each in exposures:
            counts[getattr(ITEMS[each.item_id], attribute)] += each.in_session
        if most := getattr(settings, cap):
            assert all(counts[getattr(ITEMS[item_id], attribute)] < most for item_id in shown)
    assert 0 <= slate.fatigue.gain <= 1 + 1e-9
    scores = [item.score for item in slate.items]
    assert scores == sorted(scores, reverse=True)
    assert np.isfinite(scores).all()


# ---- settings ----------------------------------------------------------------------------------


def test_a_table_for_all_is_changed_for_one() -> None:
    places = parse_placements(
        {
            "fatigue": {"discount": True, "item_per_session": 2},
            "placements": {"a": {}, "b": {"fatigue": {"item_per_session": 0}}},
        }
    )
    assert places["a"].fatigue == FatigueSettings(discount=True, item_per_session=2)
    assert places["b"].fatigue == FatigueSettings(discount=True)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"rest": 1}, "unknown key"),
        ({"item_per_session": 7}, "accepted: 0 to 6"),
        ({"item_per_session": 1.5}, "accepted: a number"),
        ({"when_spent": "never"}, "accepted: "),
        ({"brand_share": -0.1}, "accepted: 0 to 1"),
        ("strong", "accepted: a table"),
    ],
)
def test_what_a_table_may_not_say(table: object, complaint: str) -> None:
    from recommender.errors import ConfigError

    with pytest.raises(ConfigError, match=complaint):
        parse_placements({"placements": {"a": {"fatigue": table}}})
    with pytest.raises(ConfigError, match=complaint):
        parse_placements({"fatigue": table, "placements": {"a": {}}})
