from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.affinity import brand_lookup
from recommender.bundle import bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.errors import ConfigError
from recommender.exposures import Exposure
from recommender.merchandising.findings import findings
from recommender.merchandising.shop_rules import ShopRules
from recommender.pipeline import explain, recommend
from recommender.placements import Placement, parse_placements, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query, Visit
from recommender.slate import Slate
from recommender.terms import (
    ADD_TO_CART,
    DISMISS,
    FULL,
    INTERACTION_TYPES,
    KINDS,
    PURCHASE,
    VIEW_ITEM_LIST,
)
from tests.bundles import AT, AT_MICROS, MINUTE, knowing_bundle, viewed
from tests.paces import pace_arrays
from tests.recommender.merchandising.shop import bound

KNOWING = knowing_bundle()
BUNDLE = bundle_of(
    {**KNOWING.arrays, **pace_arrays()}, BundleManifest.describe(KNOWING.manifest.info, {})
)
SENSITIVE = ("garden/seeds",)
SECRET = {f"item-{i:02d}" for i in range(20) if i % 4 == 2}
DAY = 1440 * MINUTE
PLACES = {
    **read_placements(),
    "ways": Placement("ways", exclude=(), kinds=KINDS, navigation=3),
    "dosed": Placement("dosed", exclude=("dismissed",), max_changed_share=0.4),
}
PLACES = {name: replace(each, sensitive_categories=SENSITIVE) for name, each in PLACES.items()}
RULES = bound(
    {"kind": "exclude", "where": 'brand = "acme"', "when": "cart.size > 2"},
    {"kind": "calibration", "strength": 0.5, "min_history": 2},
    bundle=BUNDLE,
)


def query(**parts: object) -> Query:
    return Query(**({"at": AT, "placement": "p", "limit": 10} | parts))  # type: ignore[arg-type]


def ask(asked: Query, place: Placement) -> Slate:
    return recommend(asked, BUNDLE, place, TopPolicy(), RULES)


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def rows(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Interaction, ...]]:
    one = st.builds(
        Interaction,
        items,
        st.sampled_from(INTERACTION_TYPES),
        st.integers(AT_MICROS - 30 * DAY, AT_MICROS),
    )
    return st.lists(one, max_size=12).map(lambda each: tuple(sorted(each, key=lambda row: row.ts)))


open_ids = st.sampled_from([f"item-{i:02d}" for i in range(22) if f"item-{i:02d}" not in SECRET])
secret_ids = st.sampled_from(sorted(SECRET))
some = rows(open_ids)
queries = st.builds(
    query,
    history=some,
    session=some,
    cart_items=st.lists(open_ids, max_size=3, unique=True).map(tuple),
    context_items=st.lists(open_ids, max_size=2).map(tuple),
    kinds=st.none() | st.just(KINDS),
    limit=st.integers(1, 20),
    category=st.sampled_from([None, "garden", "garden/tools", "kitchen"]),
    personalize=st.sampled_from(["off", "light", "full"]),
).map(lambda asked: asked.but(visit=Visit(asked.session, frozenset({"item-01"}))))


def merged(*parts: tuple[Interaction, ...]) -> tuple[Interaction, ...]:
    return tuple(sorted((row for part in parts for row in part), key=lambda row: row.ts))


def known_secrets(
    asked: Query, past: tuple[Interaction, ...], now: tuple[Interaction, ...]
) -> Query:
    """The same shopper, who dealt with sensitive things as well."""
    moves = tuple(row._replace(event_type=VIEW_ITEM_LIST) for row in now)
    met = {row.item_id for row in past}
    return asked.but(
        history=merged(asked.history, past),
        session=merged(asked.session, now),
        visit=Visit(merged(asked.visit.events, now, moves), asked.visit.met_before | met),
        cart_items=tuple(dict.fromkeys((*(row.item_id for row in now), *asked.cart_items))),
        exposures=tuple(Exposure(each, 6, 6, 6, AT_MICROS) for each in sorted(met)),
    )


secrets = rows(secret_ids)
places = st.sampled_from(sorted(PLACES)).map(PLACES.__getitem__)


@given(queries, secrets, secrets, places)
def test_what_was_done_with_sensitive_items_changes_nothing_elsewhere(
    asked: Query, past: tuple[Interaction, ...], now: tuple[Interaction, ...], place: Placement
) -> None:
    told = known_secrets(asked, past, now)
    slate = ask(told, place)
    assert slate == ask(asked, place)
    assert not SECRET & {*ids(slate), *(each for each, _ in slate.candidates)}
    assert not {way.target for way in slate.ways} & {"garden/seeds"}
    assert not SECRET & {each for each, _ in explain(told, BUNDLE, place, RULES)}


@given(queries, secrets, secrets, places)
def test_on_a_sensitive_page_they_only_take_away(
    asked: Query, past: tuple[Interaction, ...], now: tuple[Interaction, ...], place: Placement
) -> None:
    here = asked.but(category="garden/seeds", context_items=("item-06",))
    told = known_secrets(here, past, now).but(exposures=())
    left = replace(place, exclude=tuple({*place.exclude} & {"context"}))
    assert ask(told, left) == ask(here, left)
    slate = ask(told, place)
    assert all(item.kind == "item" for item in slate.items if item.item_id in SECRET)
    dismissed = {row.item_id for row in (*past, *now) if row.event_type == DISMISS}
    if "dismissed" in place.exclude and asked.personalize == FULL:
        assert not dismissed & {*ids(slate)}
    assert not {way.target for way in slate.ways} & {"garden/seeds"}
    assert "search" not in {way.kind for way in slate.ways}


def test_without_the_list_the_same_interactions_would_speak() -> None:
    asked = query(history=viewed(2, 6, 2, event_type=ADD_TO_CART), limit=20)
    place = PLACES["home"]
    open_place = replace(place, sensitive_categories=())
    assert SECRET & {*ids(ask(asked, open_place))}
    assert "resume" in {item.kind for item in ask(asked, open_place).items}
    assert ask(asked, place) == ask(query(limit=20), place)
    assert ask(asked, place).fallback_level == "popular"
    assert dict(ask(asked, place).filters) == {"unavailable": 1, "sensitive": 5}


def test_a_sensitive_page_shows_its_own_and_starts_from_its_item() -> None:
    place = replace(PLACES["item"], limit=4)
    slate = ask(query(context_items=("item-06",)), place)
    assert SECRET & {*ids(slate)}
    assert slate.fallback_level == "similar"
    everywhere = ask(query(category="garden", limit=20), PLACES["category"])
    assert not SECRET & {*ids(everywhere)}


def test_an_ignored_item_rests_on_its_own_page_only() -> None:
    place = replace(PLACES["home"], exclude=())
    tired = (Exposure("item-06", 6, 6, 6, AT_MICROS - MINUTE),)
    page = query(category="garden/seeds", limit=20)
    assert "item-06" in ids(ask(page, place))
    assert "item-06" not in ids(ask(page.but(exposures=tired), place))


def test_searches_that_name_a_sensitive_category_are_not_named() -> None:
    place = replace(PLACES["ways"], navigation=3)
    asked = query(session=viewed(0), kinds=("item", "search"))
    assert {way.target for way in ask(asked, place).ways} == {"knife"}
    knives = replace(place, sensitive_categories=("tools/Knife-blocks",))
    assert ask(asked, knives).ways == ()


def test_affinity_leaves_sensitive_items_out() -> None:
    brand_of = brand_lookup(BUNDLE.catalogue, SENSITIVE)
    assert (brand_of("item-02"), brand_of("item-04"), brand_of("?")) == (None, "acme", None)


def test_the_list_is_for_all_placements_and_is_checked() -> None:
    raw = {"sensitive_categories": ["health/intimate", "weapons"], "placements": {"a": {}, "b": {}}}
    assert {each.sensitive_categories for each in parse_placements(raw).values()} == {
        ("health/intimate", "weapons")
    }
    for wrong in ("weapons", [""], ["health/"], [3]):
        with pytest.raises(ConfigError, match=r"sensitive_categories.*accepted"):
            parse_placements({"sensitive_categories": wrong, "placements": {"a": {}}})
    with pytest.raises(ConfigError, match="unknown key"):
        parse_placements({"placements": {"a": {"sensitive_categories": []}}})


def test_a_sensitive_category_that_the_model_does_not_have_is_found() -> None:
    place = Placement("a", sensitive_categories=("garden/seeds", "garden/sedes"))
    assert findings(ShopRules("v"), {"a": place}, BUNDLE.catalogue) == [
        "sensitive category 'garden/sedes': no item of the model is in it"
    ]


def test_the_knowing_bundle_has_what_could_give_somebody_away() -> None:
    assert BUNDLE.ways is not None
    assert np.count_nonzero(BUNDLE.catalogue.rest_days)
    bought = (Interaction("item-06", PURCHASE, AT_MICROS - DAY),)
    place = replace(PLACES["home"], sensitive_categories=())
    assert ask(query(history=bought), place) != ask(query(), place)
