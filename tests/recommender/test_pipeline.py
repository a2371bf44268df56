from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.catalogue import catalogue_arrays
from recommender.errors import InvalidInputError
from recommender.pipeline import explain, recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.slate import Slate
from recommender.terms import DISMISS, INTERACTION_TYPES, PERSONALIZE_LEVELS, PURCHASE
from tests.bundles import AT, AT_MICROS, MINUTE, shop_bundle, shop_info, viewed
from tests.recommender.merchandising.shop import bound

BUNDLE = shop_bundle()
PLACEMENTS = read_placements()
NEXT = Placement("next", exclude=("dismissed",))


def ask(
    query: Query, placement: Placement = NEXT, bundle: ModelBundle = BUNDLE
) -> tuple[list[str], Slate]:
    slate = recommend(query, bundle, placement, TopPolicy())
    return [item.item_id for item in slate.items], slate


LEVEL = PERSONALIZE_LEVELS.index


def query(**parts: object) -> Query:
    return Query(**({"at": AT, "placement": "next"} | parts))  # type: ignore[arg-type]


def test_a_garden_shopper_gets_garden_things() -> None:
    ids, slate = ask(query(session=viewed(2, 4), limit=5))
    assert all(int(each[-2:]) % 2 == 0 for each in ids)
    assert slate.fallback_level == "session"


@pytest.mark.parametrize(
    ("parts", "level"),
    [
        ({"history": viewed(3)}, "personalised"),
        ({"history": viewed(3), "session": viewed(5)}, "personalised"),
        ({"session": viewed(3)}, "session"),
        ({"cart_items": ("item-03",)}, "session"),
        ({"context_items": ("item-03",)}, "similar"),
        ({"category": "kitchen"}, "popular_in_category"),
        ({}, "popular"),
        ({"session": (Interaction("never-heard-of", "view_item", AT_MICROS),)}, "popular"),
        ({"history": viewed(3), "personalize": "off"}, "popular"),
        ({"history": viewed(3), "personalize": "light"}, "popular"),
        ({"history": viewed(3), "session": viewed(5), "personalize": "light"}, "session"),
    ],
)
def test_the_ladder_says_its_level(parts: dict[str, object], level: str) -> None:
    ids, slate = ask(query(**parts))
    assert slate.fallback_level == level
    assert len(ids) == 10


def test_a_page_may_keep_proposals_to_its_category() -> None:
    seeds = {"session": viewed(2, 4), "limit": 12}
    ids, slate = ask(query(**seeds, category="garden/seeds"), replace(NEXT, within_category=True))
    inside = [each for each in ids if int(each[-2:]) % 4 == 2]
    assert ids[: len(inside)] == inside
    assert (len(inside), len(ids), slate.fallback_level) == (5, 12, "session")
    everywhere, _ = ask(query(**seeds, category="garden/seeds"))
    assert everywhere[:5] != inside


@pytest.mark.parametrize("category", [None, "attic"])
def test_a_page_of_no_or_an_unknown_category_keeps_proposals_to_nothing(
    category: str | None,
) -> None:
    asked = query(session=viewed(2, 4), category=category)
    assert ask(asked, replace(NEXT, within_category=True)) == ask(asked)


def test_the_last_rung_is_the_static_list() -> None:
    static = Placement("s", ladder=("static",), static_items=("item-07", "gone", "item-07"))
    ids, slate = ask(query(), static)
    assert (ids, slate.fallback_level) == (["item-07"], "static")


@pytest.mark.parametrize("parts", [{}, {"history": viewed(3), "personalize": "off"}])
def test_strangers_get_what_others_began_with(parts: dict[str, object]) -> None:
    rising = {"stranger_popularity": np.arange(20, dtype=np.float32)}
    bundle = bundle_of({**BUNDLE.arrays, **rising}, BUNDLE.manifest)
    ids, _ = ask(query(**parts, limit=3), bundle=bundle)
    assert ids == ["item-18", "item-17", "item-16"]  # the last one is not available
    known, _ = ask(query(history=viewed(3), limit=20), bundle=bundle)
    plain, _ = ask(query(history=viewed(3), limit=20))
    assert known == plain


def test_an_empty_catalogue_gives_an_empty_answer() -> None:
    arrays = catalogue_arrays([], np.empty(0, np.float32))
    info = shop_info(blend={}, sources={})
    bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
    ids, slate = ask(query(session=viewed(1), context_items=("x",)), bundle=bundle)
    assert (ids, slate.eligible_count, slate.fallback_level) == ([], 0, "static")


def test_unavailable_and_excluded_items_never_appear() -> None:
    ids, slate = ask(query(session=viewed(1, 3), exclude_items=frozenset({"item-05"}), limit=100))
    assert "item-19" not in ids
    assert "item-05" not in ids
    assert len(ids) == slate.eligible_count == 18
    assert dict(slate.filters) == {"unavailable": 1, "excluded": 1}


@pytest.mark.parametrize(
    ("rule", "parts", "gone"),
    [
        ("cart", {"cart_items": ("item-02",)}, {"item-02"}),
        ("context", {"context_items": ("item-02",)}, {"item-02"}),
        ("seen", {"session": viewed(2), "history": viewed(4)}, {"item-02", "item-04"}),
        ("purchased", {"history": viewed(2) + viewed(4, event_type=PURCHASE)}, {"item-04"}),
        ("dismissed", {"session": viewed(6, event_type=DISMISS)}, {"item-06"}),
    ],
)
def test_each_rule_takes_away_exactly_its_items(
    rule: str, parts: dict[str, object], gone: set[str]
) -> None:
    everything, _ = ask(query(**parts, limit=100), Placement("p", exclude=()))
    left, slate = ask(query(**parts, limit=100), Placement("p", exclude=(rule,)))
    assert set(everything) - set(left) == gone
    assert dict(slate.filters)[rule] == len(gone)


def test_a_purchase_long_ago_may_be_offered_again() -> None:
    bought = viewed(4, event_type=PURCHASE)
    placement = Placement("p", exclude=("purchased",), purchased_within_days=14)
    assert "item-04" not in ask(query(history=bought, limit=100), placement)[0]
    later = query(history=bought, limit=100).but(at=AT + timedelta(days=15))
    assert "item-04" in ask(later, placement)[0]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"category": "kitchen"}, {i for i in range(19) if i % 2}),
        ({"category": "garden"}, {i for i in range(19) if i % 2 == 0}),
        ({"category": ["garden/tools", "kitchen"]}, {i for i in range(19) if i % 2 or i % 4 == 0}),
        ({"category": "no such"}, set()),
        ({"brand": "zenith"}, set(range(10, 19))),
        ({"brand": ["acme", "unknown"]}, set(range(10))),
        ({"price": {"max": 5}}, {1, 2, 3, 4}),
        ({"price": {"min": 18, "max": 99}}, {17, 18}),
        ({"brand": "acme", "price": {"min": 9}, "available": True}, {8, 9}),
    ],
)
def test_attribute_filters(conditions: dict[str, object], expected: set[int]) -> None:
    ids, _ = ask(query(filter=conditions, limit=100, session=viewed(1)))
    assert {int(each[-2:]) for each in ids} == expected


@pytest.mark.parametrize(
    "conditions",
    [
        {"colour": "red"},
        {"category": 3},
        {"category": []},
        {"brand": [1]},
        {"price": 5},
        {"price": {}},
        {"price": {"below": 3}},
        {"price": {"max": "5"}},
        {"price": {"max": True}},
        {"price": {"min": float("nan")}},
        {"available": False},
    ],
)
def test_an_unacceptable_filter_says_what_is_accepted(conditions: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="accepted"):
        ask(query(filter=conditions))


interactions = st.lists(
    st.builds(
        Interaction,
        st.integers(0, 24).map("item-{:02d}".format),
        st.sampled_from(INTERACTION_TYPES),
        st.integers(AT_MICROS - 10**13, AT_MICROS + 10**12),
    ),
    max_size=30,
).map(lambda rows: tuple(sorted(rows, key=lambda row: row.ts)))
queries = st.builds(
    Query,
    at=st.just(AT),
    placement=st.just("next"),
    limit=st.integers(1, 100),
    history=interactions,
    session=interactions,
    context_items=st.lists(st.integers(0, 24).map("item-{:02d}".format), max_size=3).map(tuple),
    category=st.sampled_from([None, "garden", "garden/tools", "attic"]),
    exclude_items=st.frozensets(st.integers(0, 24).map("item-{:02d}".format), max_size=15),
    personalize=st.sampled_from(PERSONALIZE_LEVELS),
)


@given(queries, st.sampled_from(sorted(PLACEMENTS)))
def test_every_valid_query_gets_a_sound_slate(asked: Query, name: str) -> None:
    ids, slate = ask(asked, PLACEMENTS[name])
    assert len(ids) == len(set(ids)) == min(asked.limit, slate.eligible_count)
    assert not set(ids) & asked.exclude_items
    assert [item.position for item in slate.items] == list(range(1, len(ids) + 1))
    scores = [item.score for item in slate.items]
    assert scores == sorted(scores, reverse=True)
    assert np.isfinite(scores).all()
    assert all(0 < item.propensity <= 1 for item in slate.items)


@given(queries)
def test_nothing_after_the_moment_of_asking_matters(asked: Query) -> None:
    future = Interaction("item-03", "view_item", AT_MICROS + MINUTE)
    past = tuple(each for each in asked.session if each.ts <= AT_MICROS)
    assert ask(asked.but(session=(*past, future)))[0] == ask(asked.but(session=past))[0]


@given(queries)
def test_an_impersonal_answer_is_the_same_for_everybody(asked: Query) -> None:
    impersonal = asked.but(personalize="off")
    nobody = impersonal.but(history=(), session=(), cart_items=())
    for placement in PLACEMENTS.values():
        assert ask(impersonal, placement)[1] == ask(nobody, placement)[1]
        assert ask(asked, replace(placement, personalize="off")) == ask(impersonal, placement)


@given(queries)
def test_a_light_answer_knows_no_earlier_visit(asked: Query) -> None:
    light = asked.but(personalize=min(asked.personalize, "light", key=LEVEL))
    today = light.but(history=())
    for placement in PLACEMENTS.values():
        assert ask(light, placement)[1] == ask(today, placement)[1]
        assert ask(asked, replace(placement, personalize="light")) == ask(light, placement)


@given(queries, st.permutations(range(20)))
def test_relabelling_the_items_relabels_the_answer_and_nothing_else(
    asked: Query, order: list[int]
) -> None:
    names = {f"item-{i:02d}": f"item-{order[i]:02d}" for i in range(20)}

    def renamed(rows: tuple[Interaction, ...]) -> tuple[Interaction, ...]:
        return tuple(row._replace(item_id=names.get(row.item_id, row.item_id)) for row in rows)

    relabelled = asked.but(
        history=renamed(asked.history),
        session=renamed(asked.session),
        context_items=tuple(names.get(each, each) for each in asked.context_items),
        exclude_items=frozenset(names.get(each, each) for each in asked.exclude_items),
    )
    from tests.bundles import shop_arrays, shop_items

    items = [replace(item, item_id=names[item.item_id]) for item in shop_items()]
    arrays = shop_arrays()
    arrays |= catalogue_arrays(items, arrays["popularity"])
    other = bundle_of(arrays, BundleManifest.describe(shop_info(), {}))
    assert [names[each] for each in ask(asked)[0]] == ask(relabelled, bundle=other)[0]


@given(queries)
def test_a_longer_list_starts_with_the_shorter_one(asked: Query) -> None:
    assert ask(asked.but(limit=100))[0][: asked.limit] == ask(asked)[0]


def test_explain_adds_up_to_the_score() -> None:
    asked = query(history=viewed(2, 4), session=viewed(6))
    slate = recommend(asked, BUNDLE, NEXT, TopPolicy())
    explained = dict(explain(asked, BUNDLE, NEXT))
    for item in slate.items:
        parts = explained[item.item_id]
        assert sum(parts.values()) == pytest.approx(item.score, rel=1e-5)
        assert max(parts, key=parts.__getitem__) == item.source


def test_explain_sees_of_the_question_what_the_answer_sees() -> None:
    asked = query(cart_items=("item-03",), context_items=("item-05",), personalize="off")
    rule = {"kind": "exclude", "where": 'category = "kitchen"', "when": "cart.size > 0"}
    rules = bound(rule, bundle=BUNDLE)
    slate = recommend(asked, BUNDLE, NEXT, TopPolicy(), rules)
    explained = {item_id for item_id, _ in explain(asked, BUNDLE, NEXT, rules)}
    kitchen = {f"item-{i:02d}" for i in range(1, 20, 2)}
    assert {item.item_id for item in slate.items if item.source != "popularity"} <= explained
    assert explained & kitchen
    full = asked.but(personalize="full")
    assert not {item_id for item_id, _ in explain(full, BUNDLE, NEXT, rules)} & kitchen


def test_a_query_without_time_zone_or_with_a_wrong_limit_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="time zone"):
        query(at=AT.replace(tzinfo=None))
    for limit in (0, 101):
        with pytest.raises(InvalidInputError, match="1 to 100"):
            query(limit=limit)
        with pytest.raises(InvalidInputError, match="1 to 100"):
            query().but(limit=limit)
