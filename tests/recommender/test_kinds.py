from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.bundle import ModelBundle
from recommender.kinds import complements, in_kind_order, left_open, wanted_kinds
from recommender.navigation import Ways
from recommender.pipeline import recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query, Visit
from recommender.ranking import Origin, Ranking
from recommender.slate import Slate, SlateWay
from recommender.substitutes import Pairs
from recommender.terms import (
    ADD_TO_CART,
    DISMISS,
    INTERACTION_TYPES,
    ITEM_KINDS,
    KINDS,
    NAVIGATION_KINDS,
    PURCHASE,
    REFUND,
    REMOVE_FROM_CART,
    SEARCH,
    VIEW_ITEM_LIST,
)
from tests.bundles import AT, AT_MICROS, MINUTE, knowing_bundle, shop_bundle, viewed

BUNDLE = knowing_bundle()
DAY = 1440 * MINUTE
PLACE = Placement("p", exclude=("dismissed",), kinds=KINDS, navigation=3)
PLACES = {**read_placements(), "p": PLACE}


def ask(asked: Query, place: Placement = PLACE, bundle: ModelBundle = BUNDLE) -> Slate:
    return recommend(asked, bundle, place, TopPolicy())


def query(**parts: object) -> Query:
    return Query(**({"at": AT, "placement": "p", "limit": 100} | parts))  # type: ignore[arg-type]


def done(item: int, event_type: str, days_ago: float) -> Interaction:
    return Interaction(f"item-{item:02d}", event_type, AT_MICROS - round(days_ago * DAY))


def kinds(slate: Slate) -> dict[str, str]:
    return {item.item_id: item.kind for item in slate.items}


def test_what_is_due_is_to_be_bought_again() -> None:
    slate = ask(query(history=(done(1, PURCHASE, 16), done(1, PURCHASE, 8), done(15, PURCHASE, 1))))
    assert kinds(slate)["item-01"] == "buy_again"
    assert kinds(slate)["item-15"] == "item"
    assert {item.reason for item in slate.items if item.kind == "buy_again"} == {"bought_before"}


@pytest.mark.parametrize(
    ("past", "resumed"),
    [
        ((done(3, ADD_TO_CART, 2),), {"item-03"}),
        ((done(3, ADD_TO_CART, 2), done(3, REMOVE_FROM_CART, 1)), set()),
        ((done(3, ADD_TO_CART, 2), done(3, PURCHASE, 1)), set()),
        ((done(3, ADD_TO_CART, 2), done(3, DISMISS, 1)), set()),
        (viewed(3, 5, 3), {"item-03", "item-05"}),
        (viewed(3, 4, 3), set()),  # not of one category
        (viewed(3, 3, 3, 3), set()),  # reloads
        (viewed(3, 4, 3, 6, 3), {"item-03"}),
        ((*viewed(3, 4, 3, 6, 3), done(3, PURCHASE, 0)), set()),
        (viewed(3, 5), set()),
    ],
)
def test_what_was_left_open(past: tuple[Interaction, ...], resumed: set[str]) -> None:
    assert left_open(query(history=past), BUNDLE.catalogue) == resumed
    slate = ask(query(history=past))
    assert {one for one, kind in kinds(slate).items() if kind == "resume"} == resumed


def test_what_was_put_into_the_cart_just_now_is_not_resumed() -> None:
    assert left_open(query(session=(done(3, ADD_TO_CART, 0.001),)), BUNDLE.catalogue) == set()


def test_home_offers_the_cart_of_an_earlier_visit_but_not_that_of_this_one() -> None:
    asked = query(
        history=(done(2, ADD_TO_CART, 3),),
        session=(done(4, ADD_TO_CART, 0.001),),
        cart_items=("item-02", "item-04"),
    )
    found = kinds(ask(asked, PLACES["home"]))
    assert found["item-02"] == "resume"
    assert "item-04" not in found


def test_complements_go_with_the_cart_and_come_first_at_the_cart() -> None:
    cart = query(cart_items=("item-02",), session=viewed(1), limit=6)
    slate = ask(cart, PLACES["cart"])
    named = [item.kind for item in slate.items]
    assert "complement" in named
    assert named == sorted(named)  # complement before item
    assert [item.score for item in slate.items] == sorted(
        (item.score for item in slate.items), reverse=True
    )


carts = st.lists(st.integers(0, 19), min_size=1, max_size=4, unique=True)


@given(carts, st.integers(0, 50), st.booleans())
def test_a_complement_never_replaces_what_is_in_the_cart(
    cart: list[int], seed: int, knows: bool
) -> None:
    bundle = knowing_bundle(seed=seed) if knows else shop_bundle()
    asked = query(cart_items=tuple(f"item-{each:02d}" for each in cart), session=viewed(1, 2))
    found = kinds(ask(asked, bundle=bundle))
    of_kind = [bundle.catalogue.ids.index(one) for one, k in found.items() if k == "complement"]
    chosen = np.array(of_kind, np.int32)
    assert not Pairs.of(bundle).replaces(chosen, cart).any()
    assert not set(of_kind) & set(cart)
    category = bundle.catalogue.item_category
    for one in of_kind:
        for other in cart:
            lift = _lift(bundle, int(one or 0), other)
            assert lift >= 1 if lift is not None else category[one] != category[other]


def _lift(bundle: ModelBundle, one: int, other: int) -> float | None:
    """The plain definition: the pair's own lift, listed by either, else that of the categories."""
    if "pair_idx" not in bundle.arrays:
        return None
    idx, lift = bundle.arrays["pair_idx"], bundle.arrays["pair_lift"]
    for a, b in ((other, one), (one, other)):
        for place, listed in enumerate(idx[a].tolist()):
            if listed == b:
                return float(lift[a, place])  # type: ignore[arg-type]
    own = bundle.catalogue.item_category[[one, other]]
    return float(bundle.arrays["pair_category_lift"][own[1], own[0]])  # type: ignore[arg-type]


def test_items_of_one_category_replace_each_other_where_nothing_is_known() -> None:
    bundle = shop_bundle()
    everything = np.arange(20, dtype=np.int32)
    found = Pairs.of(bundle).replaces(everything, [2])[:, 0]
    assert set(np.flatnonzero(found).tolist()) == {2, 6, 10, 14, 18}
    assert set(complements(everything, [2], bundle)) <= {0, 4, 8, 12, 16}


def test_durable_goods_rest_wherever_the_rule_is_and_refunds_undo() -> None:
    bought = (done(3, PURCHASE, 40), done(4, PURCHASE, 40))
    place = Placement("p", exclude=("durable",))
    assert "item-03" not in kinds(ask(query(history=bought), place))
    assert "item-04" in kinds(ask(query(history=bought), place))  # no durable
    assert dict(ask(query(history=bought), place).filters)["durable"] == 1
    later = query(history=bought, at=AT + timedelta(days=51))
    assert "item-03" in kinds(ask(later, place))
    refunded = query(history=(*bought, done(3, REFUND, 10)))
    assert "item-03" in kinds(ask(refunded, place))
    again = query(history=(*bought, done(3, REFUND, 10), done(3, PURCHASE, 5)))
    assert "item-03" not in kinds(ask(again, place))
    twice = query(history=(done(3, PURCHASE, 80), *bought))
    assert "item-03" in kinds(ask(twice, place))
    nobody = query(history=bought).but(personalize="off")
    assert "item-03" in kinds(ask(nobody, place))


def test_at_most_so_many_of_a_kind_and_the_rest_does_not_come_back() -> None:
    past = tuple(done(each, ADD_TO_CART, 2) for each in range(1, 9))
    place = replace(PLACE, at_most={"resume": 2})
    slate = ask(query(history=past), place)
    assert [item.kind for item in slate.items].count("resume") == 2
    assert not {item.item_id for item in slate.items if item.kind != "resume"} & {
        f"item-{each:02d}" for each in range(1, 9)
    }
    assert dict(slate.filters)["kinds"] == 6
    assert slate.eligible_count == len(slate.items)


def test_a_shelf_of_one_kind_is_not_filled_with_others() -> None:
    asked = query(history=(done(3, ADD_TO_CART, 2), *viewed(5, 7)))
    assert set(kinds(ask(asked.but(kinds=("resume",)))).values()) == {"resume"}
    assert ask(query(kinds=("resume",))).items == ()


def test_kinds_are_reordered_without_scores_that_rise() -> None:
    ranking = Ranking.of_one(
        np.array([4, 2, 7], np.int32), np.array([3, 2, 1], np.float32), Origin("a", "s")
    )
    moved = in_kind_order(ranking, [(1, "complement"), (2, "resume")], ("resume",))
    assert moved.item_idx.tolist() == [7, 4, 2]
    assert moved.scores.tolist() == [1, 1, 1]
    assert in_kind_order(ranking, [(2, "resume")], ()) is ranking


interactions = st.lists(
    st.builds(
        Interaction,
        st.integers(0, 21).map("item-{:02d}".format),
        st.sampled_from(INTERACTION_TYPES),
        st.integers(AT_MICROS - 60 * DAY, AT_MICROS),
    ),
    max_size=25,
).map(lambda rows: tuple(sorted(rows, key=lambda row: row.ts)))
asked_kinds = st.none() | st.lists(st.sampled_from(KINDS), min_size=1, unique=True).map(tuple)


queries = st.builds(
    query,
    history=interactions,
    session=st.just(viewed(2, 4, 2)),
    cart_items=carts.map(lambda cart: tuple(f"item-{each:02d}" for each in cart)),
    kinds=asked_kinds,
    limit=st.integers(1, 30),
    category=st.sampled_from([None, "garden/seeds", "kitchen"]),
    personalize=st.sampled_from(["off", "light", "full"]),
)


@given(queries, st.sampled_from(sorted(PLACES)))
def test_every_combination_gets_a_valid_answer(asked: Query, name: str) -> None:
    place = PLACES[name]
    slate = ask(asked, place)
    assert [entry.position for entry in slate.entries] == list(range(1, len(slate.entries) + 1))
    assert len(slate.entries) <= asked.limit
    assert {entry.kind for entry in slate.entries} <= set(wanted_kinds(asked, place))
    assert {item.kind for item in slate.items} <= set(ITEM_KINDS)
    assert {way.kind for way in slate.ways} <= set(NAVIGATION_KINDS)
    assert len(slate.ways) <= place.navigation
    assert len({item.item_id for item in slate.items}) == len(slate.items)
    assert len({(way.kind, way.target) for way in slate.ways}) == len(slate.ways)
    scores = [entry.score for entry in slate.entries]
    assert scores == sorted(scores, reverse=True)
    for kind, most in place.at_most.items():
        assert sum(item.kind == kind for item in slate.items) <= most
    if "durable" in place.exclude and asked.personalize == "full":
        assert not {item.item_id for item in slate.items} & _resting(asked)


def _resting(asked: Query) -> set[str]:
    """The plain definition, for a shop in which every third item rests for 90 days."""
    resting = set()
    for number in range(0, 20, 3):
        own = [
            each
            for each in (*asked.history, *asked.session)
            if each.item_id[-2:] == f"{number:02d}"
        ]
        refunded = max((each.ts for each in own if each.event_type == REFUND), default=-1)
        bought = [each.ts for each in own if each.event_type == PURCHASE and each.ts > refunded]
        if bought and max(bought) - min(bought) < DAY / 2 and max(bought) > AT_MICROS - 90 * DAY:
            resting.add(f"item-{number:02d}")
    return resting


def test_ways_stand_where_their_worth_puts_them() -> None:
    slate = ask(query(session=viewed(2, 4), limit=6))
    assert [(way.kind, way.target, way.position) for way in slate.ways] == [
        ("category", "kitchen", 2),
        ("search", "knife", 4),
    ]
    assert len(slate.entries) == 6
    assert all(way.propensity == 1 and way.reason == "often_next" for way in slate.ways)
    filled = ask(query(session=viewed(2, 4), cart_items=("item-02",)))
    assert [way.kind for way in filled.ways] == ["checkout", "category", "search"]
    assert isinstance(filled.entries[0], SlateWay)


def test_a_way_leads_somewhere_else_and_to_something() -> None:
    assert [w.target for w in ask(query(category="kitchen")).ways] == ["knife"]
    empty = frozenset(f"item-{each:02d}" for each in range(1, 20, 2))
    assert [w.target for w in ask(query(exclude_items=empty)).ways] == ["knife"]
    assert ask(query(filter={"category": "garden"})).ways == ()
    assert ask(query(session=viewed(2)), replace(PLACE, navigation=0)).ways == ()
    assert ask(query(session=viewed(2)), replace(PLACE, kinds=("item",))).ways == ()
    assert [
        w.kind for w in ask(query(kinds=("search",)), replace(PLACE, kinds=("item",))).ways
    ] == ["search"]


SEARCHED = Interaction("", SEARCH, AT_MICROS - 2 * MINUTE)
LISTED_KITCHEN = Interaction("item-03", VIEW_ITEM_LIST, AT_MICROS - 2 * MINUTE)
LISTED_SEEDS = Interaction("item-02", VIEW_ITEM_LIST, AT_MICROS - 2 * MINUTE)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ((), ["kitchen", "knife"]),
        ((SEARCHED,), ["kitchen"]),
        ((LISTED_KITCHEN,), ["knife"]),
        ((LISTED_SEEDS,), ["kitchen", "knife"]),
        ((LISTED_KITCHEN, SEARCHED), []),
    ],
)
def test_a_way_that_the_visit_has_gone_is_not_pointed_at_again(
    gone: tuple[Interaction, ...], left: list[str], share: float
) -> None:
    # Nor does the list of anybody, which stands for a personal one that differs too much from it.
    place = replace(PLACE, max_changed_share=share)
    asked = query(session=viewed(2, 4), visit=Visit(gone), limit=6)
    assert [way.target for way in ask(asked, place).ways] == left
    nobody = asked.but(personalize="off")
    assert [way.target for way in ask(nobody, place).ways] == ["kitchen", "knife"]


def test_where_no_category_is_wanted_nobody_looks_which_lists_were_gone_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(Ways, "_listed", lambda _, gone: looked.append(gone) or np.empty(0))
    asked = query(session=viewed(2, 4), visit=Visit((LISTED_KITCHEN,)), limit=6)
    assert [way.target for way in ask(asked.but(kinds=("item", "search"))).ways] == ["knife"]
    assert looked == []
    assert [way.target for way in ask(asked.but(kinds=("item", "category"))).ways] == ["kitchen"]
    assert looked


def test_a_way_comes_again_after_so_many_items() -> None:
    visit = Visit((SEARCHED, *viewed(2, 4)))
    asked = query(session=viewed(2, 4), visit=visit)
    targets = {
        rest: [way.target for way in ask(asked, replace(PLACE, navigation_rest=rest)).ways]
        for rest in (0, 2, 3)
    }
    assert targets == {0: ["kitchen", "knife"], 2: ["kitchen", "knife"], 3: ["kitchen"]}


def test_an_impersonal_way_does_not_know_the_cart() -> None:
    asked = query(cart_items=("item-02",), session=viewed(3), personalize="off")
    assert [way.kind for way in ask(asked).ways] == ["category", "search"]


def test_wrong_kinds_are_refused() -> None:
    from recommender.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match="accepted"):
        query(kinds=("advertisement",))
