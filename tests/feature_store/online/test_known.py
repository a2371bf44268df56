from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import fields

from feature_store.online.cart import CartChange
from feature_store.online.known import NOTHING, informed, known_of
from feature_store.online.state import Preference, Purchased, VisitorState
from recommender.query import NO_ITEM, NO_VISIT, Interaction, Query
from recommender.terms import ADD_TO_CART, ADD_TO_WISHLIST, DISMISS, PURCHASE, SEARCH, VIEW_ITEM
from tests.bundles import AT, AT_MICROS, MINUTE

GAP = timedelta(minutes=30)


def test_what_is_too_old_for_the_recent_list_still_counts_as_history() -> None:
    state = VisitorState(
        recent=(
            Interaction("seen", VIEW_ITEM, AT_MICROS - 2 * MINUTE),
            Interaction("bought now", PURCHASE, AT_MICROS - MINUTE),
        ),
        purchased={"bought": Purchased(2, 1_000), "bought now": Purchased(1, AT_MICROS - MINUTE)},
        dismissed={"unwanted": 2_000},
        wished={"wanted": 3_000},
    )
    known = known_of(state, AT, GAP)
    assert known.history == (
        Interaction("bought", PURCHASE, 1_000),
        Interaction("unwanted", DISMISS, 2_000),
        Interaction("wanted", ADD_TO_WISHLIST, 3_000),
    )
    assert known.behaviour.last_bought == AT_MICROS - MINUTE
    assert [each.item_id for each in known.session] == ["seen", "bought now"]


def test_the_visit_holds_moves_and_what_was_met_before() -> None:
    state = VisitorState(
        recent=(
            Interaction("old", VIEW_ITEM, AT_MICROS - 90 * MINUTE),
            Interaction("now", VIEW_ITEM, AT_MICROS - 2 * MINUTE),
        ),
        moves=(Interaction(NO_ITEM, SEARCH, AT_MICROS - 3 * MINUTE),),
    )
    visit = known_of(state, AT, GAP).visit
    assert [each.event_type for each in visit.events] == [SEARCH, VIEW_ITEM]
    assert visit.met_before == {"old"}


def test_nothing_known_is_nothing() -> None:
    known = known_of(VisitorState(), AT, GAP)
    assert (known.history, known.session, known.cart_items) == ((), (), ())
    assert known.visit == NO_VISIT


@pytest.mark.parametrize(
    ("wish", "asked", "level"),
    [
        (None, "full", "full"),
        (None, "light", "light"),
        ("light", "full", "light"),
        ("full", "light", "light"),
        ("off", "light", "off"),
        ("light", "off", "off"),
    ],
)
def test_the_stricter_of_wish_and_question_holds(wish: str | None, asked: str, level: str) -> None:
    state = VisitorState(preference=Preference(1, wish) if wish else None)
    assert known_of(state, AT, GAP, asked).personalize == level


def test_light_keeps_the_session_and_what_it_put_into_the_cart() -> None:
    yesterday = AT_MICROS - 24 * 60 * MINUTE
    session = (
        Interaction("old", VIEW_ITEM, AT_MICROS - 2 * MINUTE),
        Interaction("new", ADD_TO_CART, AT_MICROS - MINUTE),
    )
    state = VisitorState(
        recent=(Interaction("old", ADD_TO_CART, yesterday), *session),
        cart={
            "old": (CartChange(yesterday, is_set=False, quantity=1),),
            "new": (CartChange(AT_MICROS - MINUTE, is_set=False, quantity=1),),
        },
        purchased={"bought": Purchased(1, yesterday)},
        wished={"wanted": yesterday},
        totals={PURCHASE: 1},
    )
    light = known_of(state, AT, GAP, "light")
    assert (light.history, light.session, light.cart_items) == ((), session, ("new",))
    assert light.behaviour == NOTHING.behaviour
    assert known_of(state, AT, GAP, "off") == NOTHING


@pytest.mark.parametrize("level", ["full", "light", "off"])
def test_a_question_gets_all_that_is_known_and_keeps_what_the_page_says(level: str) -> None:
    state = VisitorState(
        recent=(Interaction("now", ADD_TO_CART, AT_MICROS - MINUTE),),
        cart={"now": (CartChange(AT_MICROS - MINUTE, is_set=False, quantity=1),)},
        purchased={"bought": Purchased(1, 1_000)},
        moves=(Interaction(NO_ITEM, SEARCH, AT_MICROS - 2 * MINUTE),),
        exposures={"shown": (AT_MICROS - MINUTE,)},
        lists=((AT_MICROS - MINUTE, "home"),),
        totals={PURCHASE: 1},
    )
    page = Query(AT, "home", 7, cart_items=("page",), device="mobile", personalize=level)
    asked, known = informed(page, state, GAP), known_of(state, AT, GAP, level)
    for part in fields(known):
        if part.name != "cart_items":
            assert getattr(asked, part.name) == getattr(known, part.name)
    assert asked.cart_items == ("page", *known.cart_items)
    assert (asked.limit, asked.device, asked.at) == (7, "mobile", AT)
    assert bool(asked.visit.events) == bool(asked.exposures) == (level != "off")
    assert bool(asked.history) == bool(asked.behaviour.purchases) == (level == "full")
