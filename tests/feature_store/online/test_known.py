from __future__ import annotations

from datetime import timedelta

from feature_store.online.known import known_of
from feature_store.online.state import Purchased, VisitorState
from recommender.query import NO_ITEM, NO_VISIT, Interaction
from recommender.terms import DISMISS, PURCHASE, SEARCH, VIEW_ITEM
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
    )
    known = known_of(state, AT, GAP)
    assert known.history == (
        Interaction("bought", PURCHASE, 1_000),
        Interaction("unwanted", DISMISS, 2_000),
    )
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
