from __future__ import annotations

from recommender.query import NO_ITEM, NO_VISIT, Interaction, Visit
from recommender.terms import (
    ADD_TO_CART,
    REMOVE_FROM_CART,
    SEARCH,
    SELECT_ITEM,
    VIEW_CART,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
)
from recommender.visit import lately, visit_of
from recommender.visit_signs import CART, ITEM, LISTED, MEASURES, SEARCHED, Signs

SECOND, MINUTE = 1_000_000, 60_000_000
GAP = 30 * MINUTE
CATEGORY = {"a": 0, "b": 0, "c": 1, "d": 2}


def at(seconds: float, item_id: str = NO_ITEM, event_type: str = VIEW_ITEM) -> Interaction:
    return Interaction(item_id, event_type, int(seconds * SECOND))


def signs_of(*events: Interaction, met: frozenset[str] = frozenset()) -> Signs:
    signs = Signs(Visit((), met), lambda item_id: CATEGORY.get(item_id, -1))
    for event in events:
        signs.feed(event)
    return signs


def measure(signs: Signs, name: str) -> float:
    return signs.measures()[MEASURES.index(name)]


# ---- the visit -------------------------------------------------------------------------------


def test_moves_hold_a_visit_together_that_items_alone_would_break() -> None:
    recent = (at(0, "a"), at(2400, "b"))
    assert visit_of(recent, (), 2401 * SECOND, GAP) == Visit(recent[1:], frozenset("a"))
    search = at(1200, event_type=SEARCH)
    whole = visit_of(recent, (search,), 2401 * SECOND, GAP)
    assert whole == Visit((recent[0], search, recent[1]), frozenset())


def test_nothing_later_than_the_moment_is_in_a_visit() -> None:
    recent, moves = (
        (at(10, "a"), at(30, "b")),
        (at(20, event_type=SEARCH), at(40, event_type=SEARCH)),
    )
    assert visit_of(recent, moves, 25 * SECOND, GAP).events == (recent[0], moves[0])


def test_after_a_long_silence_there_is_no_visit() -> None:
    assert visit_of((at(0, "a"),), (), GAP + 1, GAP) == NO_VISIT
    assert visit_of((), (), 5, GAP) == NO_VISIT


def test_lately_reaches_back_over_so_many_opened_items() -> None:
    search = at(0, event_type=SEARCH)
    clicked = (at(1, "a", SELECT_ITEM), at(2, "a"), at(3, "a"))  # a click, its page, a reload
    listed = at(4, "c", VIEW_ITEM_LIST)
    visit = Visit((search, *clicked, listed, at(5, "b"), at(6, "b", ADD_TO_CART)))
    assert lately(visit, 0) == ()
    assert lately(visit, 1) == visit.events[5:]
    assert lately(visit, 2) == visit.events[3:]
    assert lately(visit, 3) == visit.events
    assert lately(NO_VISIT, 3) == ()


# ---- its signs -------------------------------------------------------------------------------


def test_lists_beside_an_event_belong_to_its_page() -> None:
    signs = signs_of(
        at(0, "a"),
        at(0.001, "c", VIEW_ITEM_LIST),
        at(0.002, NO_ITEM, VIEW_ITEM_LIST),
        at(30, "b"),
    )
    assert signs.steps == 2
    assert signs.gaps == [(0, 29.998)]
    assert measure(signs, "categories") == 1


def test_events_at_once_are_steps_without_gaps() -> None:
    signs = signs_of(at(0, "a"), at(0, "b"), at(0.2, "c"))
    assert (signs.steps, signs.gaps) == (3, [])


def test_gaps_know_whether_an_item_was_read() -> None:
    signs = signs_of(at(0, NO_ITEM, SEARCH), at(10, "a"), at(50, "b"))
    assert signs.gaps == [(1, 10.0), (0, 40.0)]


def test_what_a_search_found_counts_as_its_category_once() -> None:
    found = [at(0, NO_ITEM, SEARCH), at(0.001, "a", VIEW_ITEM_LIST), at(0.002, "c", VIEW_ITEM_LIST)]
    signs = signs_of(*found)
    assert measure(signs, "categories") == 1
    assert (signs.steps, signs.entry) == (1, SEARCHED)


def test_the_order_of_a_pages_lists_makes_no_difference() -> None:
    suggested, listed = NO_ITEM, "c"
    one = signs_of(at(0, suggested, VIEW_ITEM_LIST), at(0.1, listed, VIEW_ITEM_LIST))
    other = signs_of(at(0, listed, VIEW_ITEM_LIST), at(0.1, suggested, VIEW_ITEM_LIST))
    assert one.measures() == other.measures()
    assert one.entry_is_nowhere is other.entry_is_nowhere is False
    assert signs_of(at(0, NO_ITEM, VIEW_ITEM_LIST)).entry_is_nowhere


def test_turning_a_page_of_a_list_is_told_from_another_list() -> None:
    signs = signs_of(
        at(0, "a", VIEW_ITEM_LIST), at(9, "b", VIEW_ITEM_LIST), at(20, "c", VIEW_ITEM_LIST)
    )
    assert measure(signs, "turned_share") == 1 / 3
    assert (signs.entry, signs.latest) == (LISTED, LISTED)


def test_returns_are_told_from_reloads_and_from_items_of_earlier_visits() -> None:
    signs = signs_of(at(0, "a"), at(10, "a"), at(20, "c"), at(30, "a"), met=frozenset({"a", "z"}))
    assert measure(signs, "reload_share") == 1 / 4
    assert measure(signs, "again_share") == 1 / 4
    assert measure(signs, "known_share") == 1 / 2
    assert measure(signs, "met_before") == 2
    assert signs.entry_is_known
    assert signs.entry == ITEM


def test_selecting_an_item_and_its_view_are_one_step_and_no_reload() -> None:
    signs = signs_of(at(0, "a", SELECT_ITEM), at(0.001, "a"), at(0.002, "c", VIEW_ITEM_LIST))
    assert (signs.steps, measure(signs, "reload_share")) == (1, 0)
    signs = signs_of(at(0, "a", SELECT_ITEM), at(0.001, "c"), at(9, "c", SELECT_ITEM))
    assert signs.steps == 3


def test_the_cart_is_what_was_put_in_and_not_taken_out() -> None:
    signs = signs_of(
        at(0, "a", ADD_TO_CART),
        at(5, "b", ADD_TO_CART),
        at(9, "a", REMOVE_FROM_CART),
        at(12, NO_ITEM, VIEW_CART),
    )
    assert (measure(signs, "carts"), measure(signs, "in_cart")) == (2, 1)
    assert measure(signs, "cart_share") == 1 / 4
    assert signs.latest == CART


def test_items_that_the_shop_does_not_know_have_no_category() -> None:
    signs = signs_of(at(0, "unheard"), at(9, "of"))
    assert measure(signs, "categories") == 0
    assert measure(signs, "category_entropy") == 0
    assert measure(signs, "top_category_share") == 1
