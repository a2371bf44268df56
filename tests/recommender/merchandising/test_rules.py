from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from recommender.bundle import bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.filters.evaluation import matching
from recommender.merchandising.active import NO_RULES, bind
from recommender.merchandising.rules_file import DEFAULT_FILE, read_rules
from recommender.merchandising.trace import Move, Trace
from recommender.pipeline import recommend
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.seeds import PART_CODES
from recommender.terms import DISMISS
from tests.bundles import AT, shop_arrays, shop_bundle, shop_info, viewed
from tests.recommender.merchandising.shop import (
    BUNDLE,
    PLACE,
    PLACEMENTS,
    answer,
    asked,
    bound,
    numbers,
    shown,
)

GARDEN = 'category = "garden"'
# A stranger sees what is popular: the items in their order.
STRANGER = asked(limit=6)


@pytest.mark.parametrize(
    "query", [STRANGER, asked(session=viewed(2, 4)), asked(history=viewed(3), limit=100)]
)
def test_the_file_that_ships_changes_nothing(query: Query) -> None:
    default = bind(read_rules(DEFAULT_FILE, PLACEMENTS)[0], BUNDLE.catalogue)
    for place in PLACEMENTS.values():
        bare = recommend(query, BUNDLE, place, TopPolicy())
        ruled = recommend(query, BUNDLE, place, TopPolicy(), default)
        assert bare == replace(ruled, rules_version="")
        assert (bare.rules_version, ruled.rules_version) == ("", "default")


def test_rules_are_for_one_catalogue() -> None:
    with pytest.raises(ValueError, match="another catalogue"):
        recommend(STRANGER, shop_bundle(), PLACE, TopPolicy(), bound(EXCLUDE))
    assert NO_RULES.active(STRANGER, BUNDLE.catalogue).rules == ()


EXCLUDE = {"kind": "exclude", "where": 'brand = "acme"'}


def test_what_is_excluded_is_never_shown_and_counted() -> None:
    slate = answer(asked(session=viewed(2, 4), limit=100), EXCLUDE)
    assert set(numbers(slate)) == set(range(10, 19))
    assert dict(slate.filters)["rule:rule-0"] == 10


@pytest.mark.parametrize(
    ("limits", "holds"),
    [
        ({}, True),
        ({"placements": ["next", "home"]}, True),
        ({"placements": ["home"]}, False),
        ({"from": AT}, True),
        ({"until": AT}, False),
        ({"until": "2026-01-31T12:00:01Z"}, True),
        ({"from": "2026-01-31T13:00:01+01:00"}, False),
        ({"from": AT - timedelta(1), "until": AT + timedelta(1)}, True),
        ({"when": 'context.device = "phone"'}, True),
        ({"when": 'not context.device = "phone"'}, False),
        ({"when": "cart.size > 0"}, False),
    ],
)
def test_where_and_when_a_rule_holds(limits: dict[str, object], holds: bool) -> None:
    listed = shown(STRANGER.but(device="phone"), EXCLUDE | limits)
    assert (0 not in listed) == holds


def test_a_price_band_follows_the_page_and_spares_unknown_prices() -> None:
    band = {"kind": "price_band", "low": 0.5, "high": 2}
    page = asked(context_items=("item-05",), limit=100)  # costs 6
    assert set(shown(page, band)) == {0, *range(2, 12)}
    assert len(shown(asked(context_items=("item-00",), limit=100), band)) == 19
    assert len(shown(asked(limit=100), band)) == 19
    cart = asked(cart_items=("item-01", "item-03"), limit=100)  # on average 3
    assert set(shown(cart, band | {"around": "cart"})) == {0, 1, 2, 3, 4, 5}
    assert set(shown(cart, {"kind": "price_band", "around": "cart", "high": 1})) == {0, 1, 2}


def test_a_boost_halves_the_position_and_a_bury_doubles_it() -> None:
    seventh = {"kind": "boost", "where": 'item_id = "item-07"', "factor": 2}
    assert shown(STRANGER, seventh) == [0, 1, 2, 3, 7, 4]
    second = {"kind": "bury", "where": 'item_id = "item-01"', "factor": 0.5}
    assert shown(STRANGER, second) == [0, 2, 1, 3, 4, 5]
    both = shown(STRANGER, seventh, seventh, second)
    assert both == [0, 7, 2, 1, 3, 4]


def test_a_boost_reaches_below_the_end_of_the_list() -> None:
    assert shown(STRANGER, {"kind": "boost", "where": 'brand = "zenith"', "factor": 100}) == [
        *range(10, 16)
    ]


def test_a_boost_may_depend_on_the_page() -> None:
    cheaper = {"kind": "boost", "where": "price < context.price", "factor": 100}
    assert shown(asked(category="kitchen", context_items=("item-05",), limit=3)) != shown(
        asked(category="kitchen", context_items=("item-05",), limit=3), cheaper
    )


def test_a_pin_has_its_position_if_it_may_be_shown() -> None:
    pin = {"kind": "pin", "items": {"item-18": 2, "item-19": 1, "nothing": 3, "item-17": 9}}
    slate = answer(STRANGER, pin)
    assert numbers(slate) == [0, 18, 1, 2, 3, 4]
    assert slate.items[1].reason == "featured" or slate.items[1].source == "popularity"
    assert shown(STRANGER.but(exclude_items=frozenset({"item-18"})), pin)[1] == 1
    assert 18 not in shown(STRANGER.but(session=viewed(18, event_type=DISMISS)), pin)
    assert 18 not in shown(STRANGER.but(filter='brand = "acme"'), pin)
    assert 18 not in shown(STRANGER, pin, {"kind": "exclude", "where": "price > 18"})


def test_a_pin_moves_a_ranked_item_down_as_well_as_up() -> None:
    assert shown(STRANGER, {"kind": "pin", "items": {"item-00": 4}}) == [1, 2, 3, 0, 4, 5]


def test_a_pin_beyond_the_end_of_a_short_list_is_its_end() -> None:
    short = STRANGER.but(filter='item_id in ("item-01", "item-02", "item-03")')
    assert shown(short, {"kind": "pin", "items": {"item-01": 6}}) == [2, 3, 1]


def test_of_two_pins_the_first_has_the_position() -> None:
    first, second = ({"kind": "pin", "items": {f"item-1{n}": 1}} for n in (5, 6))
    assert shown(STRANGER, first, second)[:2] == [15, 0]


def test_a_pin_says_nothing_of_how_personal_an_answer_is() -> None:
    slate = answer(asked(session=viewed(2, 4), limit=4), {"kind": "pin", "items": {"item-17": 1}})
    assert (slate.items[0].item_id, slate.fallback_level) == ("item-17", "session")


PROMOTION = {"kind": "promotion", "where": 'brand = "zenith"', "share": 0.4}


def test_a_promotion_gets_its_share_from_its_position_on() -> None:
    slate = answer(STRANGER, PROMOTION | {"from_position": 2})
    assert numbers(slate) == [0, 10, 11, 1, 2, 3]
    assert [item.promotion for item in slate.items] == [None, "rule-0", "rule-0", None, None, None]
    assert shown(STRANGER, PROMOTION | {"share": 0.1}) == shown(STRANGER)


def test_a_promotion_counts_what_is_in_the_list_anyway() -> None:
    query = asked(limit=5, exclude_items=frozenset(f"item-{n:02d}" for n in range(4, 10)))
    assert shown(query) == [0, 1, 2, 3, 10]
    slate = answer(query, PROMOTION)
    assert numbers(slate) == [11, 0, 1, 2, 3]
    assert [item.promotion for item in slate.items].count("rule-0") == 1


def test_a_promotion_counts_what_is_pinned() -> None:
    pin = {"kind": "pin", "items": {"item-11": 6}}
    assert shown(STRANGER, pin, PROMOTION) == [10, 0, 1, 2, 3, 11]


def test_a_promotion_brings_in_what_no_source_proposes() -> None:
    arrays = shop_arrays(300)
    bundle = bundle_of(arrays, BundleManifest.describe(shop_info(), {}))
    rare = {"kind": "promotion", "where": 'item_id = "item-290"', "share": 0.25}
    query, few = asked(session=viewed(2, 4), limit=4), replace(PLACE, candidates=5)
    slate = recommend(query, bundle, few, TopPolicy(), bound(rare, bundle=bundle))
    assert slate.items[0].item_id == "item-290"
    assert (slate.items[0].reason, slate.items[0].promotion) == ("featured", "rule-0")


def test_a_share_is_one_of_the_slots_that_are_there() -> None:
    few = STRANGER.but(limit=10, filter='item_id in ("item-01", "item-02", "item-11", "item-12")')
    half = PROMOTION | {"share": 0.5, "from_position": 1}
    assert shown(few, half) == [1, 2, 11, 12]


def test_at_most_so_many_of_a_sort() -> None:
    garden = {"kind": "constraint", "where": GARDEN, "at_most": 1}
    assert shown(STRANGER, garden) == [0, 1, 3, 5, 7, 9]
    assert shown(STRANGER, {"kind": "constraint", "per": "brand", "at_most": 2}) == [0, 1, 10, 11]
    assert shown(STRANGER, {"kind": "constraint", "per": "category", "at_most": 1}) == [0, 1, 2]
    assert shown(STRANGER, {"kind": "constraint", "where": GARDEN, "at_most": 0})[0] == 1


def test_at_least_so_many_of_a_sort() -> None:
    zenith = {"kind": "constraint", "where": 'brand = "zenith"', "at_least": 2}
    assert shown(STRANGER, zenith) == [0, 1, 2, 3, 10, 11]
    everything = {"kind": "constraint", "where": 'brand = "zenith"', "at_least": 100}
    assert shown(STRANGER, everything) == list(range(10, 16))
    few = {"kind": "constraint", "where": 'item_id = "item-18"', "at_least": 5}
    assert shown(STRANGER, few) == [0, 1, 2, 3, 4, 18]


def test_a_constraint_wins_over_a_pin() -> None:
    pin = {"kind": "pin", "items": {"item-11": 1, "item-12": 2}}
    one = {"kind": "constraint", "where": 'brand = "zenith"', "at_most": 1}
    assert shown(STRANGER, pin, one) == [11, 0, 1, 2, 3, 4]


def test_two_constraints_hold_together() -> None:
    rules = (
        {"kind": "constraint", "where": 'brand = "zenith"', "at_least": 3},
        {"kind": "constraint", "per": "category", "at_most": 2},
    )
    listed = shown(STRANGER, *rules)
    assert listed == [0, 1, 2, 10, 11, 12]


def test_diversity_parts_what_is_alike() -> None:
    query = asked(session=viewed(2, 4), limit=6)
    plain = shown(query)
    assert all(number % 2 == 0 for number in plain)
    spread = shown(query, {"kind": "diversity", "level": "high"})
    assert spread[0] == plain[0]
    assert {number % 2 for number in spread} == {0, 1}
    assert shown(query, {"kind": "diversity", "level": "none"}) == plain
    assert shown(query.but(diversity=0.6)) == spread
    assert shown(query.but(diversity=0.0), {"kind": "diversity", "level": 1}) == plain


def test_without_factors_attributes_say_what_is_alike() -> None:
    arrays = {n: a for n, a in shop_arrays().items() if n not in ("item_factors", "factor_inverse")}
    info = shop_info(blend={"item_knn": 1.0})
    info = replace(info, sources={n: s for n, s in info.sources.items() if n != "als"})
    bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
    query = asked(session=viewed(2, 4), limit=6)
    spread = shown(query, {"kind": "diversity", "level": 0.6}, bundle=bundle)
    assert {number % 2 for number in spread} == {0, 1}
    assert {number >= 10 for number in spread} == {False, True}


def test_calibration_follows_the_mix_of_those_with_enough_history() -> None:
    mixed = {"kind": "calibration", "strength": 0.9, "min_history": 5}
    history = viewed(2, 4, 6, 8, 1)
    plain = asked(history=history, limit=10)
    garden = sum(number % 2 == 0 for number in shown(plain, mixed))
    assert garden == 8
    assert garden < sum(number % 2 == 0 for number in shown(plain)) or shown(plain)[:5] != shown(
        plain, mixed
    )
    short = plain.but(history=history[1:])
    assert shown(short, mixed) == shown(short)
    impersonal = plain.but(personalize="off")
    assert shown(impersonal, mixed) == shown(impersonal)


def test_calibration_at_a_depth_keeps_kinds_apart() -> None:
    history = viewed(*[4, 8] * 3, *[2, 6] * 3)
    rule = {"kind": "calibration", "strength": 0.95, "min_history": 5, "depth": 2}
    listed = shown(asked(history=history, limit=8), rule)
    tools = sum(number % 4 == 0 for number in listed)
    assert 3 <= tools <= 5
    assert all(number % 2 == 0 for number in listed)


def test_the_divergence_is_that_of_the_paper() -> None:
    from recommender.merchandising.filling import diverge

    shares, divergence = np.array([0.5, 0.3, 0.2]), np.full(4, np.nan)
    diverge(shares, np.array([1.0, 1.0, 0.0]), 4, divergence)
    grown = [[2, 1, 0], [1, 2, 0], [1, 1, 1], [1, 1, 0], [1, 2, 0]]
    for group, listed in zip((0, 1, 2, 3, 1), grown, strict=True):
        mixed = 0.99 * np.array(listed) / 4 + 0.01 * shares
        expected = (shares * np.log(shares / mixed)).sum()
        assert divergence[group] == pytest.approx(expected)


def test_the_mix_is_that_of_what_was_met_in_known_categories() -> None:
    from recommender.merchandising.calibration import OTHER
    from recommender.merchandising.filling import Aim, mix_of

    groups = np.array([7, 3, OTHER, 7, 5], np.int32)
    met = np.array([0, 1, 2, 3, 4, 0], np.int32)
    names = ("history", "history", "history", "session", "cart", "context")
    parts = np.array([PART_CODES[name] for name in names], np.int32)
    weights = np.array([1, 2, 9, 5, 9, 9], np.float32)
    items = np.array([4, 3, 2, 1, 0], np.int32)
    shares, places = mix_of(items, Aim(0.5, 3, groups, met, parts, weights))
    assert shares == pytest.approx([2 / 8, 6 / 8])
    assert places.tolist() == [2, 1, 2, 0, 1]
    for aim in ((0.5, 4), (0.0, 0)):
        shares, places = mix_of(items, Aim(*aim, groups, met, parts, weights))
        assert len(shares) == 0
        assert not places.any()


def test_what_a_rule_is_about_is_kept_by_what_it_asks_of_the_question() -> None:
    rules = bound({"kind": "price_band", "around": "page", "low": 0.4, "high": 1.6})
    seen = []
    for page in ("item-04", "item-09", "item-04", "nothing"):
        active = rules.active(asked(context_items=(page,)), BUNDLE.catalogue)
        ((rule, mask),) = active.excluded()
        fresh = matching(rule.where, active.query, BUNDLE.catalogue)
        assert mask.tolist() == fresh.tolist()
        rows = np.array([3, 9], np.int32)
        assert active.matches(rule, rows).tolist() == fresh[rows].tolist()
        seen.append(mask)
    assert seen[0] is seen[2]
    assert len(rules.asked) == 3


def test_masks_of_few_questions_are_kept_for_a_large_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recommender.merchandising.active._MASK_BYTES", 2 * len(BUNDLE.catalogue))
    rules = bound({"kind": "price_band", "around": "page", "low": 0.4, "high": 1.6})
    for number in range(1, 9):
        query = asked(context_items=(f"item-{number:02d}",))
        list(rules.active(query, BUNDLE.catalogue).excluded())
    assert len(rules.asked) == 2


def test_a_trace_tells_which_rule_moved_what() -> None:
    trace = Trace()
    answer(
        STRANGER,
        {"kind": "boost", "where": 'item_id = "item-07"', "factor": 2},
        {"kind": "pin", "items": {"item-18": 1}},
        {"kind": "constraint", "where": GARDEN, "at_most": 1},
        {"kind": "diversity", "level": "none"},
        trace=trace,
    )
    moves = {(move.rule, move.item_idx): move for move in trace.moves}
    assert moves["rule-0", 7] == Move("rule-0", 7, 8, 5)
    assert moves["rule-1", 18] == Move("rule-1", 18, 19, 1)
    assert moves["rule-2", 2].to_position is None
    assert ("rule-3", 0) not in moves


def test_an_empty_ranking_stays_empty() -> None:
    query = asked(filter='item_id = "nothing"')
    rules = (PROMOTION, {"kind": "pin", "items": {"item-01": 1}}, {"kind": "diversity", "level": 1})
    assert shown(query, *rules) == []


def test_moments_are_those_of_the_question() -> None:
    rule = EXCLUDE | {"from": datetime(2026, 2, 1, tzinfo=UTC)}
    assert 0 in shown(STRANGER, rule)
    assert 0 not in shown(STRANGER.but(at=AT + timedelta(1)), rule)


def test_likeness_to_an_item_without_factors_is_that_of_its_attributes() -> None:
    from recommender.merchandising.filling import Traits, factor_lengths, in_common, likeness

    factors = np.ones((20, 4), np.float32)
    factors[3] = 0
    factors[4] = (-1, -1, 0, 0)
    items, own = np.array([1, 2, 3, 4], np.int32), BUNDLE.catalogue
    traits = Traits(factors, own.item_category, own.item_brand, own.item_price)
    known = factor_lengths(items, traits)
    assert known.tolist() == [2, 2, 0, pytest.approx(np.sqrt(2))]
    first, bare = (likeness(row, items, known, traits) for row in (0, 2))
    overlap = 0.5 + 0.3 + 0.2 * (1 - np.log(2) / np.log(4))
    assert first.tolist() == pytest.approx([1, 1, overlap, 0], rel=1e-5)
    assert first[2] == np.float32(in_common(1, 3, traits)) == bare[0]
    apart = 0.3 + 0.2 * (1 - np.log(1.5) / np.log(4))
    assert in_common(1, 2, traits) == pytest.approx(apart, rel=1e-5)
    near = 0.3 + 0.2 * (1 - np.log(4 / 3) / np.log(4))
    far = 0.3 + 0.2 * (1 - np.log(5 / 4) / np.log(4))
    assert bare.tolist() == pytest.approx([overlap, near, 1, far], rel=1e-5)
