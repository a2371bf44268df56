from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.exposures import Exposure
from recommender.fatigue_settings import FatigueSettings
from recommender.listing import Listing
from recommender.pipeline import opened, recommend
from recommender.placements import Placement, read_placements
from recommender.policy import Choice, Leeway, SlatePolicy, TopPolicy
from recommender.query import Interaction, Query
from recommender.slate import Slate, SlateWay
from recommender.terms import ADD_TO_CART, DISMISS, INTERACTION_TYPES, KINDS, PURCHASE
from tests.bundles import AT, AT_MICROS, MINUTE, knowing_bundle, viewed
from tests.recommender.merchandising.shop import bound

BUNDLE = knowing_bundle()
DAY = 1440 * MINUTE
REST = FatigueSettings(discount=True, item_per_session=2, brand_per_session=5)
PLACES = {
    **read_placements(),
    "ways": Placement("ways", exclude=("dismissed",), kinds=KINDS, navigation=3, fatigue=REST),
    "few": Placement("few", exclude=("cart",), at_most={"item": 4, "resume": 2}, fatigue=REST),
    "mixed": Placement("mixed", exclude=("dismissed",), fatigue=replace(REST, brand_share=0.6)),
}
Key = tuple[str, str | None]


def query(**parts: object) -> Query:
    return Query(**({"at": AT, "placement": "p", "limit": 10} | parts))  # type: ignore[arg-type]


def ask(asked: Query, place: Placement, policy: SlatePolicy | None = None) -> Slate:
    return recommend(asked, BUNDLE, place, policy or TopPolicy())


def limited(place: Placement, share: float) -> Placement:
    return replace(place, max_changed_share=share)


def keys(slate: Slate) -> list[Key]:
    return [
        (entry.kind, entry.target if isinstance(entry, SlateWay) else entry.item_id)
        for entry in slate.entries
    ]


def default_of(asked: Query, place: Placement) -> Slate:
    """The impersonal list without what may not be shown to this shopper."""
    opening = opened(asked, BUNDLE, place)
    ids = BUNDLE.catalogue.ids
    closed = {ids.id(i) for i, is_open in enumerate(opening.open_items.tolist()) if not is_open}
    anybody = asked.but(
        personalize="off",
        limit=opening.query.limit,
        exclude_items=asked.exclude_items | closed,
    )
    return ask(anybody, place)


item_ids = st.integers(0, 21).map("item-{:02d}".format)
interactions = st.lists(
    st.builds(
        Interaction,
        item_ids,
        st.sampled_from(INTERACTION_TYPES),
        st.integers(AT_MICROS - 60 * DAY, AT_MICROS),
    ),
    max_size=20,
).map(lambda rows: tuple(sorted(rows, key=lambda row: row.ts)))
exposures = st.lists(
    st.builds(
        lambda item, times: Exposure(item, times, times, times, AT_MICROS - MINUTE),
        item_ids,
        st.integers(1, 4),
    ),
    max_size=8,
    unique_by=lambda each: each.item_id,
).map(tuple)
queries = st.builds(
    query,
    history=interactions,
    session=st.sampled_from([(), viewed(2, 4, 2), viewed(1, 3, 5)]),
    cart_items=st.lists(item_ids, max_size=3, unique=True).map(tuple),
    context_items=st.lists(item_ids, max_size=2).map(tuple),
    kinds=st.none() | st.lists(st.sampled_from(KINDS), min_size=1, unique=True).map(tuple),
    limit=st.integers(1, 20),
    category=st.sampled_from([None, "garden/seeds", "kitchen"]),
    exclude_items=st.frozensets(item_ids, max_size=5),
    exposures=exposures,
    personalize=st.sampled_from(["off", "light", "full"]),
)
shares = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.99]) | st.floats(0, 0.999)
places = st.sampled_from(sorted(PLACES)).map(PLACES.__getitem__)


@dataclass(frozen=True, slots=True)
class LastFirst:
    """Takes the worst that it is given, to see how far a policy can go."""

    name: str = "last_first"

    def choose(
        self, ranking: Listing, limit: int, leeway: Leeway, seed: int | None
    ) -> list[Choice]:
        return [Choice(row, 1.0) for row in reversed(range(len(ranking)))][:limit]


@given(queries, places, shares, st.sampled_from([TopPolicy(), LastFirst()]))
def test_no_list_differs_by_more_than_its_share(
    asked: Query, place: Placement, share: float, policy: SlatePolicy
) -> None:
    slate = ask(asked, limited(place, share), policy)
    if slate.changed_share is None:
        assert slate.fatigue.is_suppressed or ask(asked, place) == ask(
            asked.but(personalize="off"), place
        )
        return
    default = {*keys(default_of(asked, limited(place, share)))}
    changed = sum(key not in default for key in keys(slate))
    if default or not share:
        assert changed <= share * len(slate.entries) + 1e-6
    else:
        assert slate.entries == ask(asked, limited(place, 1)).entries
    assert slate.changed_share == pytest.approx(changed / max(len(slate.entries), 1))


@given(queries, places)
def test_with_nothing_to_change_it_is_the_list_of_anybody(asked: Query, place: Placement) -> None:
    slate, default = ask(asked, limited(place, 0)), default_of(asked, limited(place, 0))
    # Not the scores: a list that is kept keeps the scale of the whole of it.
    assert [(e.reason, e.position) for e in slate.entries] == [
        (e.reason, e.position) for e in default.entries
    ]
    assert keys(slate) == keys(default)
    impersonal = ask(asked.but(personalize="off"), place)
    open_items = opened(asked, BUNDLE, limited(place, 0)).open_items
    ids = BUNDLE.catalogue.ids
    if all(open_items[ids.index(item.item_id)] for item in impersonal.items) and not slate.ways:
        assert [item.item_id for item in slate.items] == [i.item_id for i in impersonal.items]


@given(queries, places, shares)
def test_within_its_share_a_list_is_not_touched(
    asked: Query, place: Placement, share: float
) -> None:
    plain = ask(asked, replace(place, max_changed_share=1))
    assert plain.changed_share is None
    default = {*keys(default_of(asked, place))}
    changed = sum(key not in default for key in keys(plain))
    if share and changed <= share * len(plain.entries):
        assert ask(asked, limited(place, share)).entries == plain.entries


@given(queries, places, shares)
def test_what_may_not_be_shown_or_rests_never_comes_in(
    asked: Query, place: Placement, share: float
) -> None:
    slate = ask(asked, limited(place, share))
    open_items = opened(asked, BUNDLE, place).open_items
    listed = [item.item_id for item in slate.items]
    assert all(open_items[BUNDLE.catalogue.ids.index(each)] for each in listed)
    assert len(set(listed)) == len(listed)
    assert [entry.position for entry in slate.entries] == list(range(1, len(slate.entries) + 1))
    scores = [entry.score for entry in slate.entries]
    assert scores == sorted(scores, reverse=True)
    for kind in {*place.at_most} - {"item"}:  # of plain items the ladder may bring more
        assert sum(item.kind == kind for item in slate.items) <= place.at_most[kind]
    assert len(slate.ways) <= place.navigation
    if place.name == "mixed":
        brands = [BUNDLE.catalogue.brand_of(i) for i in BUNDLE.catalogue.ids.indices(listed)]
        most = max(1, int(0.6 * asked.limit + 1e-9))
        assert all(brands.count(brand) <= most for brand in brands)


@given(queries, shares)
def test_the_best_changes_are_kept_first(asked: Query, share: float) -> None:
    place = PLACES["next"]
    plain, slate = ask(asked, place), ask(asked, limited(place, share))
    default = {*keys(default_of(asked, place))}
    best = [key for key in keys(plain) if key not in default]
    kept = [key for key in keys(slate) if key not in default]
    if share and slate.changed_share is not None:
        assert kept == best[: len(kept)]
        most = int(share * len(slate.entries) + 1e-9) if default else len(best)
        assert len(kept) == min(len(best), most)


@given(queries, shares, st.integers(0, 4), st.integers(1, 6))
def test_rules_hold_in_a_mixed_list(asked: Query, share: float, most: int, place: int) -> None:
    rules = bound(
        {"kind": "constraint", "per": "brand", "at_most": most},
        {"kind": "pin", "items": {"item-11": place}},
        bundle=BUNDLE,
    )
    spot = limited(PLACES["next"], share)
    slate = recommend(asked, BUNDLE, spot, TopPolicy(), rules)
    listed = [item.item_id for item in slate.items]
    brands = [BUNDLE.catalogue.brand_of(i) for i in BUNDLE.catalogue.ids.indices(listed)]
    assert all(brands.count(brand) <= most for brand in brands)
    if slate.changed_share is not None and most and place <= asked.limit:
        personal = recommend(asked, BUNDLE, PLACES["next"], TopPolicy(), rules)
        is_there = [entry.item_id for entry in personal.items].count("item-11")
        assert listed.count("item-11") >= is_there
        if is_there and share and place <= len(slate.entries):
            assert listed[place - 1] == "item-11"


def test_something_bought_before_is_a_change_even_where_everybody_sees_it() -> None:
    due = tuple(Interaction("item-01", PURCHASE, AT_MICROS - days * DAY) for days in (16, 8))
    asked, place = query(history=due, limit=4), PLACES["next"]
    plain = ask(asked, place)
    assert ("buy_again", "item-01") in keys(plain)
    assert ("item", "item-01") in keys(default_of(asked, place))
    slate = ask(asked, limited(place, 0.2))  # not one of four
    assert ("item", "item-01") in keys(slate)
    assert {entry.reason for entry in slate.entries} == {"popular"}
    assert slate.changed_share == 0


def test_a_partly_personal_list_keeps_the_order_of_anybody_around_its_changes() -> None:
    asked, place = query(session=viewed(13, 15), limit=4), PLACES["next"]
    personal = [item.item_id for item in ask(asked, place).items]
    slate = ask(asked, limited(place, 0.25))
    listed = [item.item_id for item in slate.items]
    (changed,) = {*listed} - {"item-00", "item-01", "item-02", "item-03"}
    assert listed.index(changed) == personal.index(changed) == 1
    # The personal list has the last two as well.
    assert [each for each in listed if each != changed] == ["item-00", "item-01", "item-03"]
    assert {"item-01", "item-03"} < {*personal}
    assert (slate.changed_share, slate.fallback_level) == (0.25, "session")


def test_a_dismissed_best_seller_is_not_brought_back() -> None:
    session = (*viewed(13, 15), Interaction("item-00", DISMISS, AT_MICROS - 1))
    slate = ask(query(session=session, limit=4), limited(PLACES["next"], 0))
    assert [key[1] for key in keys(slate)] == ["item-01", "item-02", "item-03", "item-04"]


def test_a_shelf_that_is_empty_for_everybody_may_be_filled() -> None:
    left = (Interaction("item-03", ADD_TO_CART, AT_MICROS - DAY),)
    asked = query(history=left, kinds=("resume",))
    assert keys(ask(asked, limited(PLACES["home"], 0))) == []
    for share in (0.1, 0.9, 1):
        assert keys(ask(asked, limited(PLACES["home"], share))) == [("resume", "item-03")]
