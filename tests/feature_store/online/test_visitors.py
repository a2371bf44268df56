from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.facts import apply_events
from feature_store.online.memory import MemoryStore
from feature_store.online.reconcile import Rebuilt
from feature_store.online.state import VisitorState, micros
from feature_store.online.state_codec import SCHEMA
from feature_store.online.visitors import VisitorOptions, Visitors

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT = START + timedelta(days=1)
DAY = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = micros(START)

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def visitors(store: MemoryStore) -> Visitors:
    return Visitors(store)


_numbers = count()


def event(
    visitor_id: str,
    second: int,
    event_type: str = "view_item",
    item: str | None = "a",
    user_id: str | None = None,
) -> InteractionEvent:
    return InteractionEvent(
        f"e{next(_numbers)}",
        event_type,
        micros(START) + second * 1_000_000,
        visitor_id,
        user_id=user_id,
        items=(EventItem(item),) if item else (),
    )


def identify(visitor_id: str, second: int, user_id: str) -> InteractionEvent:
    return event(visitor_id, second, "identify", None, user_id)


def seen(state: VisitorState) -> list[str]:
    return [interaction.item_id for interaction in state.recent]


def test_an_unknown_visitor_is_an_empty_state(visitors: Visitors) -> None:
    assert visitors.get("nobody", None, AT) == VisitorState()
    assert visitors.get("nobody", "no user", AT) == VisitorState(user_id="no user")


def test_an_event_is_known_at_once(visitors: Visitors) -> None:
    visitors.apply([event("v1", 1, item="a"), event("v2", 1, item="b"), event("v1", 2, item="c")])
    assert seen(visitors.get("v1", None, AT)) == ["a", "c"]
    assert seen(visitors.get("v2", None, AT)) == ["b"]
    visitors.apply([])


def test_identify_moves_the_visitor_into_the_user_and_leaves_the_link(
    visitors: Visitors, store: MemoryStore
) -> None:
    visitors.apply([event("v1", 1)])
    login = identify("v1", 2, "u1")
    visitors.apply([login])
    assert dict(visitors.scan())["v:v1"] == VisitorState(
        user_id="u1", linked_at=micros(START) + 2_000_000, linked_by=login.event_id
    )
    for state in (visitors.get("v1", None, AT), visitors.get("other", "u1", AT)):
        assert state.totals == {"view_item": 1, "identify": 1}
        assert state.user_id == "u1"


def test_every_device_ends_in_the_same_user(visitors: Visitors) -> None:
    visitors.apply([event("phone", 1, item="a"), event("laptop", 2, item="b")])
    visitors.apply([identify("phone", 3, "u1"), identify("laptop", 4, "u1")])
    visitors.apply([event("phone", 5, item="c"), event("laptop", 6, item="d")])
    assert seen(visitors.get("phone", None, AT)) == ["a", "b", "c", "d"]
    assert visitors.get("laptop", None, AT) == visitors.get("phone", "u1", AT)


def test_another_user_on_the_same_device_starts_from_there(visitors: Visitors) -> None:
    visitors.apply([event("v1", 1, item="a"), identify("v1", 2, "anna"), event("v1", 3, item="b")])
    visitors.apply([identify("v1", 4, "ben"), event("v1", 5, item="c")])
    assert seen(visitors.get("v1", None, AT)) == ["c"]
    assert seen(visitors.get("x", "anna", AT)) == ["a", "b"]


def test_a_request_of_another_user_learns_nothing_of_the_linked_one(visitors: Visitors) -> None:
    visitors.apply([event("v1", 1, item="a"), identify("v1", 2, "anna")])
    assert visitors.get("v1", "ben", AT) == VisitorState(user_id="ben")


def test_a_request_with_a_user_not_yet_identified_joins_both_for_the_answer(
    visitors: Visitors,
) -> None:
    visitors.apply([event("v1", 1, item="a"), event("v2", 2, item="b", user_id="u1")])
    assert seen(visitors.get("v1", "u1", AT)) == ["a", "b"]
    assert seen(visitors.get("v1", None, AT)) == ["a"]


def test_any_event_with_a_user_identifies(visitors: Visitors) -> None:
    visitors.apply([event("v1", 1, item="a"), event("v1", 2, item="b", user_id="u1")])
    assert seen(visitors.get("elsewhere", "u1", AT)) == ["a", "b"]


def test_a_late_identification_does_not_move_the_link_back(visitors: Visitors) -> None:
    visitors.apply([identify("v1", 10, "ben")])
    visitors.apply([event("v1", 5, item="a", user_id="anna")])
    visitors.apply([event("v1", 11, item="b")])
    assert seen(visitors.get("x", "anna", AT)) == ["a"]
    assert seen(visitors.get("v1", None, AT)) == ["b"]


def test_writes_renew_what_is_forgotten_otherwise(visitors: Visitors, clock: Clock) -> None:
    visitors.apply([event("v1", 1), identify("v1", 2, "u1"), event("v2", 1)])
    clock.now += 60 * DAY * 1_000_000
    visitors.apply([event("v1", 60 * DAY)])
    clock.now += 60 * DAY * 1_000_000
    assert visitors.get("v1", None, AT).totals["view_item"] == 2
    assert visitors.get("v2", None, AT) == VisitorState()


def test_a_state_of_a_newer_program_is_unknown_and_left_alone(
    visitors: Visitors, store: MemoryStore
) -> None:
    newer = msgspec.msgpack.encode([SCHEMA + 1, "future"])
    store.update(["v:v1", "u:u1"], lambda _: {"v:v1": newer, "u:u1": newer}, DAY)
    assert visitors.get("v1", "u1", AT).is_empty
    assert visitors.counts["newer_schema"] == 2
    visitors.apply([event("v1", 1), identify("v2", 1, "u1"), event("v3", 1)])
    assert store.get_many(["v:v1", "u:u1", "v:v2"]) == [newer, newer, None]
    assert visitors.counts["skipped_newer_schema"] == 2
    assert seen(visitors.get("v3", None, AT)) == ["a"]


def test_a_damaged_state_is_counted_and_replaced(visitors: Visitors, store: MemoryStore) -> None:
    store.update(["v:v1"], lambda _: {"v:v1": b"junk"}, DAY)
    assert visitors.get("v1", None, AT) == VisitorState()
    assert visitors.counts["damaged"] == 1
    visitors.apply([event("v1", 1)])
    assert seen(visitors.get("v1", None, AT)) == ["a"]


def test_a_visitor_identified_by_another_process_meanwhile_is_followed(
    store: MemoryStore,
) -> None:
    """The link is read before the change; it may have moved when the change runs."""

    class Interfering(MemoryStore):
        interfered = False

        def update(self, keys, change, ttl_seconds):  # type: ignore[no-untyped-def]
            if not self.interfered:
                self.interfered = True
                Visitors(self).apply([identify("v1", 5, "u1")])
            super().update(keys, change, ttl_seconds)

    shared = Interfering(lambda: micros(START))
    Visitors(shared).apply([event("v1", 6, item="z")])
    assert seen(Visitors(shared).get("x", "u1", AT)) == ["z"]


# ---- against a model that counts every event once ----------------------------------------------


class Step(NamedTuple):
    device: str
    event_type: str
    item: str
    user: str | None


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["d0", "d1", "d2"]),
        st.sampled_from(["view_item", "add_to_cart", "remove_from_cart", "purchase", "refund"]),
        st.sampled_from("abc"),
        st.sampled_from([None, None, None, "u0", "u1"]),
    ),
    max_size=30,
)


def reference(events: list[InteractionEvent]) -> dict[str, VisitorState]:
    """Owner of every event by the plain words of the module's description."""
    owned: dict[str, list[InteractionEvent]] = defaultdict(list)
    link: dict[str, str] = {}
    for one in events:
        own = f"v:{one.visitor_id}"
        if one.user_id and one.visitor_id not in link:
            owned[f"u:{one.user_id}"] += owned.pop(own, [])
        if one.user_id:
            link[one.visitor_id] = one.user_id
        owned[f"u:{link[one.visitor_id]}" if one.visitor_id in link else own].append(one)
    return {key: apply_events(VisitorState(), group) for key, group in owned.items() if group}


@settings(max_examples=150)
@given(steps, st.lists(st.integers(1, 6), min_size=1, max_size=30))
def test_any_interleaving_of_devices_counts_every_event_once(
    plan: list[Step], batches: list[int]
) -> None:
    events = [
        event(step.device, n, step.event_type, step.item, step.user)
        for n, step in enumerate(plan, 1)
    ]
    visitors = Visitors(MemoryStore(lambda: micros(START)))
    rest, sizes = list(events), iter(batches * 30)
    while rest:
        size = next(sizes)
        visitors.apply(rest[:size])
        rest = rest[size:]
    stored = dict(visitors.scan())
    expected = reference(events)
    assert {key: state for key, state in stored.items() if not state.is_empty} == expected
    totals = sum(sum(state.totals.values()) for state in stored.values())
    assert totals == len(events)
    for device in {step.device for step in plan}:
        linked = [step.user for step in plan if step.device == device and step.user]
        key = f"u:{linked[-1]}" if linked else f"v:{device}"
        assert visitors.get(device, None, AT).totals == expected[key].totals


# ---- states rebuilt from tables ------------------------------------------------------------------


def rebuilt_from(events: list[InteractionEvent]) -> list[Rebuilt]:
    scratch = Visitors(MemoryStore(lambda: micros(START)))
    scratch.apply(events)
    states = dict(scratch.scan())
    shoppers = []
    for key, state in states.items():
        name = key[2:]
        if key.startswith("u:"):
            links = {
                other[2:]: (link.linked_at, link.linked_by)
                for other, link in states.items()
                if link.user_id == name
            }
            shoppers.append(Rebuilt(name, links, state))
        elif state.user_id is None:
            shoppers.append(Rebuilt(None, {name: (0, "")}, state))
    return shoppers


@settings(max_examples=150)
@given(steps, st.integers(0, 30))
def test_a_store_that_missed_nothing_stays_as_it_is(plan: list[Step], cut: int) -> None:
    events = [event(s.device, n, s.event_type, s.item, s.user) for n, s in enumerate(plan, 1)]
    visitors = Visitors(MemoryStore(lambda: micros(START)))
    visitors.apply(events)
    before = dict(visitors.scan())
    known = _known_links(events[:cut], visitors)
    visitors.put(known, until=micros(START) + cut * 1_000_000)
    assert dict(visitors.scan()) == before


@settings(max_examples=150)
@given(steps, st.integers(0, 30))
def test_a_lost_store_filled_by_live_events_first_is_made_whole(plan: list[Step], cut: int) -> None:
    """One identification at most: who a lost link belonged to is not in the later events."""
    plan = [step._replace(user="u0" if step.user else None) for step in plan]
    events = [event(s.device, n, s.event_type, s.item, s.user) for n, s in enumerate(plan, 1)]
    whole = Visitors(MemoryStore(lambda: micros(START)))
    whole.apply(events)
    lost = Visitors(MemoryStore(lambda: micros(START)))
    lost.apply(events[cut:])
    lost.put(_known_links(events[:cut], lost), until=micros(START) + cut * 1_000_000)
    expected = dict(whole.scan())
    got = dict(lost.scan())
    assert {key: state.totals for key, state in got.items()} == {
        key: state.totals for key, state in expected.items()
    }
    assert {key: state.purchased for key, state in got.items()} == {
        key: state.purchased for key, state in expected.items()
    }


def _known_links(events: list[InteractionEvent], visitors: Visitors) -> list[Rebuilt]:
    """Rebuilt shoppers, visitors already linked online counted to their user."""
    identified = {one.visitor_id for one in events if one.user_id}
    anonymous = sorted({one.visitor_id for one in events} - identified)
    online = visitors.links(anonymous)
    moved = [
        msgspec.structs.replace(one, user_id=online[one.visitor_id][0])
        if one.visitor_id in online
        else one
        for one in events
    ]
    return rebuilt_from(moved)


def test_a_rebuilt_state_replaces_an_older_incomplete_one(visitors: Visitors) -> None:
    visitors.apply([event("v1", 5)])
    shoppers = rebuilt_from([event("v1", second) for second in range(1, 9)])
    visitors.put(shoppers, until=micros(START) + 8_000_000)
    assert visitors.get("v1", None, AT).totals == {"view_item": 8}
    assert visitors.counts["put"] == 1


def test_an_overlap_with_gaps_keeps_what_is_newer_and_the_larger_counts(
    visitors: Visitors,
) -> None:
    visitors.apply([event("v1", 7, "purchase", "p"), event("v1", 12, "purchase", "p")])
    visitors.apply([event("v1", 13, "add_to_cart", "c"), event("v1", 14, "view_item", "z")])
    early = [event("v1", second, "purchase", "p") for second in (1, 2, 7)]
    visitors.put(rebuilt_from(early), until=micros(START) + 10_000_000)
    state = visitors.get("v1", None, AT)
    assert [interaction.ts - micros(START) for interaction in state.recent] == [
        second * 1_000_000 for second in (1, 2, 7, 12, 13, 14)
    ]
    assert state.purchased_items["p"].times == 4
    assert state.cart_items == {"c": 1}
    assert state.totals == {"purchase": 3, "add_to_cart": 1, "view_item": 1}


def test_options_reach_the_states(store: MemoryStore) -> None:
    assert Visitors(store, VisitorOptions(ttl_seconds=60)).options.ttl_seconds == 60
