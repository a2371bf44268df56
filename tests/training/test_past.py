from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.facts import apply_events
from feature_store.online.known import known_of
from feature_store.online.state import VisitorState
from recommender.query import Interaction
from recommender.terms import ADD_TO_CART, PURCHASE, REFUND, REMOVE_FROM_CART, VIEW_ITEM
from training.dataset import moment
from training.past import cart_of

TYPES = [VIEW_ITEM, ADD_TO_CART, REMOVE_FROM_CART, PURCHASE, REFUND]


def past(*done: tuple[str, str]) -> list[Interaction]:
    return [Interaction(item, event_type, ts) for ts, (item, event_type) in enumerate(done)]


@pytest.mark.parametrize(
    ("done", "cart"),
    [
        ([], ()),
        ([("a", VIEW_ITEM)], ()),
        ([("a", ADD_TO_CART), ("b", ADD_TO_CART), ("c", VIEW_ITEM)], ("b", "a")),
        ([("a", ADD_TO_CART), ("b", ADD_TO_CART), ("a", ADD_TO_CART)], ("a", "b")),
        ([("a", ADD_TO_CART), ("a", REMOVE_FROM_CART)], ()),
        ([("a", ADD_TO_CART), ("b", ADD_TO_CART), ("a", PURCHASE)], ("b",)),
        ([("a", ADD_TO_CART), ("a", PURCHASE), ("a", ADD_TO_CART)], ("a",)),
        ([("a", REMOVE_FROM_CART)], ()),
    ],
)
def test_the_cart_is_what_was_added_and_neither_removed_nor_bought(
    done: list[tuple[str, str]], cart: tuple[str, ...]
) -> None:
    assert cart_of(past(*done)) == cart


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(TYPES), st.integers(0, 12)), max_size=30
    )
)
def test_it_is_the_cart_that_the_online_store_has(done: list[tuple[str, str, int]]) -> None:
    """In any order and with several things at once."""
    interactions = [Interaction(*each) for each in done]
    events = [
        InteractionEvent(f"e{n}", each.event_type, each.ts, "ann", items=(EventItem(each.item_id),))
        for n, each in enumerate(interactions)
    ]
    state = apply_events(VisitorState(), events)
    known = known_of(state, moment(1_000_000), timedelta(minutes=30))
    assert cart_of(interactions) == known.cart_items
