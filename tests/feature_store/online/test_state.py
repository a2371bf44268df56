from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.facts import apply_event, apply_events
from feature_store.online.state import (
    Preference,
    Purchased,
    StateLimits,
    VisitorState,
    joined,
    micros,
)
from feature_store.online.state_codec import (
    SCHEMA,
    UnreadableStateError,
    decode_link,
    decode_state,
    encode_state,
)
from recommender.behaviour import Behaviour
from recommender.errors import InvalidInputError
from recommender.query import Interaction
from recommender.terms import EVENT_TYPES, VIEW_ITEM_LIST

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def event(
    event_type: str, after: timedelta, *items: str, quantity: float | None = None, **fields: object
) -> InteractionEvent:
    ts = micros(START + after)
    bodies = tuple(EventItem(item, quantity=quantity) for item in items)
    return InteractionEvent(f"{event_type}-{ts}", event_type, ts, "v", items=bodies, **fields)  # type: ignore[arg-type]


def state_of(*events: InteractionEvent) -> VisitorState:
    return apply_events(VisitorState(), events)


def test_a_view_is_remembered_as_an_interaction() -> None:
    state = apply_event(VisitorState(), event("view_item", SECOND, "a"))
    assert state.recent == (Interaction("a", "view_item", micros(START + SECOND)),)
    assert state.totals == {"view_item": 1}
    assert state.first_seen == state.last_seen == micros(START + SECOND)


def test_a_list_view_is_counted_but_is_no_interaction() -> None:
    state = state_of(event("view_item_list", SECOND, "a", "b"))
    assert state.recent == ()
    assert state.totals == {"view_item_list": 1}


def moved(*events: InteractionEvent) -> list[tuple[str, str]]:
    return [(each.event_type, each.item_id) for each in state_of(*events).moves]


def test_moves_are_where_the_shopper_went_without_being_about_one_item() -> None:
    assert moved(
        event("search", SECOND, search_term="rake"),
        event("view_item_list", 2 * SECOND, "a", "b"),
        event("view_item", 3 * SECOND, "a"),
        event("view_cart", 4 * SECOND, "a"),
        event("begin_checkout", 5 * SECOND, "a"),
        event("view_promotion", 6 * SECOND),
    ) == [("search", ""), ("view_item_list", "a"), ("view_cart", ""), ("begin_checkout", "")]


def test_a_list_that_was_placed_or_suggested_says_nothing_about_where_the_shopper_went() -> None:
    assert (
        moved(
            event("view_item_list", SECOND, "a", placement="home"),
            event("view_item_list", 2 * SECOND, "a", recommendation_id="r"),
            event("view_item_list", 3 * SECOND),
        )
        == [("view_item_list", "")] * 3
    )


def test_of_the_lists_of_one_second_one_is_kept() -> None:
    part = SECOND / 10
    suggested = event("view_item_list", SECOND, "x", placement="home")
    listed = event("view_item_list", SECOND + part, "a")
    other = event("view_item_list", SECOND + 2 * part, "b")
    search = event("search", SECOND + 3 * part, search_term="rake")
    assert moved(search, other, listed, suggested) == [("view_item_list", "a"), ("search", "")]
    assert moved(suggested, event("view_item_list", 2 * SECOND, "b")) == [
        ("view_item_list", ""),
        ("view_item_list", "b"),
    ]


def test_the_oldest_moves_are_forgotten_first() -> None:
    limits = StateLimits(moves=2)
    searches = [event("search", n * SECOND, search_term="rake") for n in range(1, 5)]
    state = apply_events(VisitorState(), searches, limits)
    assert [each.ts for each in state.moves] == [each.ts for each in searches[2:]]


def test_a_state_of_the_first_schema_is_read_without_moves() -> None:
    state = state_of(event("view_item", SECOND, "a"), event("search", SECOND, search_term="rake"))
    stored = msgspec.msgpack.decode(encode_state(state), type=list)
    assert decode_state(msgspec.msgpack.encode([1, *stored[1:-2]])) == msgspec.structs.replace(
        state, moves=()
    )


@pytest.mark.parametrize(
    ("events", "cart"),
    [
        ([("add_to_cart", None)], {"a": 1}),
        ([("add_to_cart", 2), ("add_to_cart", 3)], {"a": 5}),
        ([("add_to_cart", 2), ("remove_from_cart", 1)], {"a": 1}),
        ([("add_to_cart", 2), ("remove_from_cart", 5)], {}),
        ([("add_to_cart", 2), ("remove_from_cart", None)], {}),
        ([("add_to_cart", 2), ("remove_from_cart", 5), ("add_to_cart", 1)], {"a": 1}),
        ([("add_to_cart", 2), ("purchase", 1)], {}),
        ([("add_to_cart", 2), ("purchase", 1), ("add_to_cart", 4)], {"a": 4}),
        ([("add_to_cart", 0)], {}),
        ([("add_to_cart", -3), ("add_to_cart", 1)], {"a": 1}),
        ([("add_to_cart", 0.5)] * 12, {"a": 6}),
        ([("view_cart", 7), ("begin_checkout", 7)], {}),
    ],
)
def test_the_cart_follows_its_events_in_whatever_order_they_arrive(
    events: list[tuple[str, float | None]], cart: dict[str, float]
) -> None:
    timed = [
        event(event_type, n * SECOND, "a", quantity=quantity)
        for n, (event_type, quantity) in enumerate(events, 1)
    ]
    assert state_of(*timed).cart_items == cart
    rng = random.Random(7)
    for _ in range(6):
        shuffled = rng.sample(timed, len(timed))
        state = VisitorState()
        for late in shuffled:
            state = apply_event(state, late)
        if len(timed) <= 8:  # longer lines are summed up, and then late removals may be lost
            assert state == state_of(*timed)


def test_a_purchase_takes_only_the_bought_items_out_of_the_cart() -> None:
    state = state_of(
        event("add_to_cart", SECOND, "a", "b", "c"), event("purchase", 2 * SECOND, "a", "c")
    )
    assert state.cart_items == {"b": 1}
    assert state.purchased_items == {
        "a": Purchased(1, micros(START + 2 * SECOND)),
        "c": Purchased(1, micros(START + 2 * SECOND)),
    }


def test_a_late_add_does_not_bring_back_what_was_bought() -> None:
    state = state_of(event("purchase", MINUTE, "a"))
    assert apply_event(state, event("add_to_cart", SECOND, "a")).cart_items == {}


def test_a_refund_takes_one_purchase_back_also_when_it_arrives_first() -> None:
    bought = [event("purchase", SECOND, "a"), event("purchase", MINUTE, "a")]
    refund = event("refund", 2 * MINUTE, "a")
    expected = {"a": Purchased(1, micros(START + MINUTE))}
    assert state_of(*bought, refund).purchased_items == expected
    assert apply_events(state_of(refund), bought).purchased_items == expected
    assert state_of(refund).purchased_items == {}


def test_a_dismissal_is_obeyed_for_ninety_days() -> None:
    state = state_of(event("dismiss", SECOND, "a"), event("dismiss", 10 * DAY, "b"))
    assert set(state.at(START + 90 * DAY).dismissed_items) == {"a", "b"}
    assert set(state.at(START + 91 * DAY).dismissed_items) == {"b"}
    later = apply_event(state, event("view_item", 95 * DAY, "c"))
    assert set(later.dismissed_items) == {"b"}


def test_the_wish_list_holds_what_was_not_bought_since() -> None:
    state = state_of(
        event("add_to_wishlist", SECOND, "a", "b"),
        event("purchase", MINUTE, "a", "c"),
        event("add_to_wishlist", 2 * MINUTE, "c"),
        event("add_to_wishlist", 3 * MINUTE, "b"),
    )
    wished = {"c": micros(START + 2 * MINUTE), "b": micros(START + 3 * MINUTE)}
    assert list(state.wished_items.items()) == list(wished.items())


def test_behaviour_counts_purchases_and_what_was_kept_of_them() -> None:
    state = state_of(
        event("purchase", MINUTE, "a", "b"),
        event("purchase", 9 * DAY, "a"),
        event("refund", 10 * DAY, "a"),
        event("share", 10 * DAY, "a"),
        event("review", 11 * DAY, "a"),
        event("add_to_wishlist", 12 * DAY, "c", "d"),
    )
    assert state.behaviour == Behaviour(
        purchases=2,
        kept_lines=2,
        first_bought=micros(START + MINUTE),
        last_bought=micros(START + 9 * DAY),
        wishes=1,
        shares=1,
        reviews=1,
    )


def test_the_wish_said_last_holds_and_at_one_moment_the_stricter() -> None:
    off, light = event("personalize_off", SECOND), event("personalize_light", MINUTE)
    assert state_of(light, off).preference == Preference(light.ts, "light")
    full = event("personalize_full", MINUTE)
    assert state_of(full, light).preference == Preference(light.ts, "light")
    assert state_of(event("view_item", SECOND, "a")).preference is None


def test_the_last_three_different_search_terms_are_kept_without_excess_length() -> None:
    terms = ["shoe", "boot", "shoe", "hat", "x" * 500, "hat"]
    events = [event("search", n * SECOND, search_term=term) for n, term in enumerate(terms, 1)]
    kept = [term for _, term in state_of(*events).searches]
    assert kept == ["shoe", "x" * 100, "hat"]


def test_bounds_keep_the_newest() -> None:
    views = [event("view_item", n * SECOND, f"i{n}") for n in range(1, 200)]
    bought = [event("purchase", n * MINUTE, f"p{n}") for n in range(1, 200)]
    added = [event("add_to_cart", n * MINUTE, f"c{n}") for n in range(1, 200)]
    dismissed = [event("dismiss", n * MINUTE, f"d{n}") for n in range(1, 200)]
    wished = [event("add_to_wishlist", n * SECOND, f"w{n}") for n in range(1, 200)]
    state = state_of(*views, *bought, *added, *dismissed, *wished)
    assert len(state.recent) == 50
    assert state.recent[-1].ts == micros(START + 199 * MINUTE)
    assert list(state.purchased) == [f"p{n}" for n in range(100, 200)]
    assert set(state.cart) == {f"c{n}" for n in range(150, 200)}
    assert set(state.dismissed) == {f"d{n}" for n in range(100, 200)}
    assert set(state.wished) == {f"w{n}" for n in range(100, 200)}
    assert state.first_bought == micros(START + MINUTE)
    kinds = ("view_item", "purchase", "add_to_cart", "dismiss", "add_to_wishlist")
    assert state.totals == dict.fromkeys(kinds, 199)


def test_an_emptied_cart_line_is_forgotten_when_nothing_so_late_can_arrive() -> None:
    state = state_of(event("add_to_cart", SECOND, "a"), event("remove_from_cart", MINUTE, "a"))
    assert set(state.cart) == {"a"}
    assert set(apply_event(state, event("view_item", 8 * DAY, "b")).cart) == set()


# ---- what was shown --------------------------------------------------------------------------


def test_lists_of_ours_are_exposures_and_the_shops_own_are_not() -> None:
    times = [micros(START + n * SECOND) for n in range(1, 6)]
    state = state_of(
        event("view_item_list", 1 * SECOND, "a", "b", recommendation_id="r1"),
        event("view_item_list", 2 * SECOND, "a", placement="home"),
        event("view_item_list", 3 * SECOND, "a", "c", placement="bestsellers"),
        event("view_item_list", 4 * SECOND, "c"),
        event("view_item_list", 5 * SECOND, "d", placement="shelf", recommendation_id="r2"),
    )
    assert state.exposures == {"b": (times[0],), "a": (times[0], times[1]), "d": (times[4],)}
    assert state.lists == ((times[0], ""), (times[1], "home"), (times[4], "shelf"))


def test_an_item_may_carry_the_answer_that_suggested_it() -> None:
    items = (EventItem("a", recommendation_id="r1"), EventItem("b", item_list_id="home"))
    shown = InteractionEvent("e", VIEW_ITEM_LIST, 7, "v", items=(*items, EventItem("c")))
    assert state_of(shown).exposures == {"a": (7,), "b": (7,)}


def test_bounds_keep_the_newest_showings() -> None:
    state = state_of(
        *(
            event("view_item_list", n * SECOND, f"i{n:03}", "always", placement="home")
            for n in range(1, 200)
        )
    )
    assert len(state.exposures) == 150
    assert len(state.exposures["always"]) == 6
    assert list(state.exposures)[-1] == "i199"
    assert len(state.lists) == 40
    assert state.lists[-1] == (micros(START + 199 * SECOND), "home")


# ---- what is known at a moment ---------------------------------------------------------------


def test_split_gives_history_and_running_session_oldest_first() -> None:
    state = state_of(
        event("view_item", 3 * MINUTE, "b"),
        event("view_item", MINUTE, "a"),
        event("view_item", 40 * MINUTE, "c"),
        event("view_item", 60 * MINUTE, "d"),
    )
    history, session = state.split(START + 90 * MINUTE)
    assert [seen.item_id for seen in history] == ["a", "b"]
    assert [seen.item_id for seen in session] == ["c", "d"]


def test_split_has_no_session_after_a_long_silence() -> None:
    state = state_of(event("view_item", MINUTE, "a"))
    at_the_edge, after = START + 31 * MINUTE, START + 31 * MINUTE + timedelta(microseconds=1)
    assert state.split(at_the_edge)[1] != ()
    assert state.split(after) == (state.recent, ())
    assert state.split(START + 2 * MINUTE, gap=timedelta(seconds=59)) == (state.recent, ())
    assert VisitorState().split(START) == ((), ())


def test_split_refuses_a_moment_without_time_zone() -> None:
    with pytest.raises(InvalidInputError, match="time zone"):
        VisitorState().split(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


offsets = st.integers(0, 40 * 86_400_000_000).map(lambda us: timedelta(microseconds=us))
events_strategy = st.builds(
    lambda kind, after, items, quantity, term, place: event(
        kind, after, *items, quantity=quantity, search_term=term, placement=place
    ),
    st.sampled_from([*EVENT_TYPES, *[VIEW_ITEM_LIST] * 4]),
    offsets | st.integers(0, 5).map(lambda n: n * SECOND),
    st.lists(st.sampled_from("abcdef"), max_size=3, unique=True),
    st.none() | st.integers(-1, 4) | st.floats(0.1, 3),
    st.none() | st.sampled_from(["shoe", "hat", "é"]),
    st.sampled_from(["home", "item", "the shop's own", None]),
)


@given(st.lists(events_strategy, max_size=25), st.lists(events_strategy, max_size=10), offsets)
def test_nothing_after_a_moment_changes_what_is_known_at_it(
    events: list[InteractionEvent], more: list[InteractionEvent], after: timedelta
) -> None:
    at, limits = START + after, StateLimits(recent=1000)
    before = apply_events(VisitorState(), events, limits)
    later = [one for one in more if one.ts > micros(at)]
    assert apply_events(before, later, limits).split(at) == before.split(at)
    history, session = before.split(at)
    assert all(seen.ts <= micros(at) for seen in history + session)
    assert history + session == tuple(seen for seen in before.recent if seen.ts <= micros(at))


@settings(max_examples=200)
@given(st.lists(events_strategy, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_arrival_makes_no_difference(
    events: list[InteractionEvent], rng: random.Random
) -> None:
    shuffled = rng.sample(events, len(events))
    one_by_one = VisitorState()
    for late in shuffled:
        one_by_one = apply_event(one_by_one, late)
    assert one_by_one == state_of(*events)


@given(
    st.lists(events_strategy, max_size=9),
    st.lists(events_strategy, max_size=9),
    st.lists(events_strategy, max_size=9),
)
def test_joining_states_is_joining_their_events(
    one: list[InteractionEvent], other: list[InteractionEvent], third: list[InteractionEvent]
) -> None:
    a, b, c = state_of(*one), state_of(*other), state_of(*third)
    assert joined(a, b) == joined(b, a)
    assert joined(joined(a, b), c) == joined(a, joined(b, c))
    if sum(e.event_type in ("add_to_cart", "remove_from_cart") for e in one + other) <= 8:
        assert joined(a, b) == state_of(*one, *other)


# ---- bytes -----------------------------------------------------------------------------------


@given(
    st.lists(events_strategy, max_size=30),
    st.none() | st.text(min_size=1).filter(lambda text: text.isprintable()),
)
def test_bytes_round_trip_exactly(events: list[InteractionEvent], user_id: str | None) -> None:
    state = joined(state_of(*events), VisitorState(user_id=user_id, linked_at=7, linked_by="e7"))
    assert decode_state(encode_state(state)) == state
    assert encode_state(decode_state(encode_state(state))) == encode_state(state)


@given(st.lists(events_strategy, max_size=30))
def test_a_state_of_schema_1_is_read_without_what_it_did_not_say(
    events: list[InteractionEvent],
) -> None:
    state = state_of(*events)
    known = {item_id: bought.last for item_id, bought in state.purchased.items() if bought.last}
    expected = msgspec.structs.replace(
        state,
        wished={},
        preference=None,
        first_bought=min(known.values(), default=0),
        exposures={},
        lists=(),
        moves=(),
    )
    stored = msgspec.msgpack.decode(encode_state(expected))
    old = msgspec.msgpack.encode([1, *stored[1:13]])
    assert decode_state(old) == expected
    linked = msgspec.msgpack.encode([1, 1, "anna", 7, *stored[4:13]])
    assert decode_link(linked) == ("anna", 7)


def test_a_newer_schema_and_damage_are_told_apart() -> None:
    newer = msgspec.msgpack.encode([SCHEMA + 1, {"all": "different"}])
    with pytest.raises(UnreadableStateError) as error:
        decode_state(newer)
    assert error.value.reason == "newer_schema"
    good = encode_state(state_of(event("view_item", SECOND, "a")))
    for bad in (b"", b"\xc1", b"junk", good[:-1], good[:5], msgspec.msgpack.encode([SCHEMA])):
        with pytest.raises(UnreadableStateError) as error:
            decode_state(bad)
        assert error.value.reason == "damaged"


@given(
    st.binary(max_size=80) | st.integers(0, 10_000).map(lambda n: b"\x9d" + n.to_bytes(9, "big"))
)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert outcome(raw) in {"read", "newer_schema", "damaged"}


@given(st.integers(0, 1000), st.binary(min_size=1, max_size=3))
def test_a_changed_byte_is_read_or_refused(place: int, noise: bytes) -> None:
    raw = encode_state(active_visitor(1))
    place %= len(raw)
    spoiled = raw[:place] + noise + raw[place + len(noise) :]
    assert outcome(spoiled) in {"read", "newer_schema", "damaged"}


def outcome(raw: bytes) -> str:
    try:
        decode_state(raw)
    except UnreadableStateError as error:
        return error.reason
    return "read"


def active_visitor(seed: int) -> VisitorState:
    """A shopper of about twelve visits: 50 interactions, a third returns, carts, purchases."""
    rng = random.Random(seed)
    catalogue = [f"{rng.randrange(10**5, 10**6)}" for _ in range(400)]
    seen: list[str] = []
    events: list[InteractionEvent] = []
    after = timedelta(0)
    for _ in range(12):
        after += timedelta(milliseconds=int(rng.expovariate(1 / 4) * 86_400_000))
        for _ in range(rng.randrange(4, 14)):
            after += timedelta(milliseconds=int(rng.expovariate(1 / 45) * 1000))
            returns = seen and rng.random() < 0.35
            seen.append(rng.choice(seen[-10:]) if returns else rng.choice(catalogue))
            kinds = ["view_item", "select_item", "add_to_cart", "remove_from_cart", "dismiss"]
            kind = rng.choices(kinds, [70, 20, 8, 1, 1])[0]
            events.append(event(kind, after, seen[-1], quantity=1))
        events.append(event("search", after, search_term="winter jacket blue"))
        if rng.random() < 0.5:
            after += 30 * SECOND
            events.append(event("purchase", after, *rng.sample(seen[-8:], 2)))
    return state_of(*events)


def test_an_active_visitor_takes_less_than_a_kilobyte() -> None:
    sizes = [len(encode_state(active_visitor(seed))) for seed in range(40)]
    assert all(len(active_visitor(seed).recent) == 50 for seed in range(3))
    assert max(sizes) <= 1000, sorted(sizes)
