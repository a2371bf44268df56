"""Forgetting a shopper, over every online store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_store.erasures import Erasures
from feature_store.events import EventItem, InteractionEvent
from feature_store.online.erase import Eraser
from feature_store.online.features import FeatureRow, get_features, put_features
from feature_store.online.reconcile import Rebuilt
from feature_store.online.state import VisitorState
from feature_store.online.store import OnlineStore
from feature_store.online.visitors import Visitors
from tests.contracts.test_online_store import IMPLEMENTATIONS, STORES, SetClock

SECOND = 1_000_000


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: SetClock) -> Iterator[OnlineStore]:
    with IMPLEMENTATIONS[request.param](tmp_path, clock) as store:
        yield store
        store.close()


@pytest.fixture
def eraser(store: OnlineStore, tmp_path: Path, clock: SetClock) -> Eraser:
    erasures = Erasures(tmp_path / "erasures.json")
    visitors = Visitors(store, erased_at=erasures.erased_at)
    return Eraser(store, visitors, erasures, clock, lambda kind, name: f"{kind}:{name}")


def event(clock: SetClock, visitor_id: str, user_id: str | None = None) -> InteractionEvent:
    """A view that happens now; the clock moves on."""
    clock.advance(1)
    at = clock.now
    items = (EventItem("a"),)
    return InteractionEvent(f"e{at}", "view_item", at, visitor_id, user_id=user_id, items=items)


def known(eraser: Eraser, visitor_id: str, user_id: str | None = None) -> VisitorState:
    at = datetime.fromtimestamp(eraser.clock() / SECOND, UTC) + timedelta(days=1)
    return eraser.visitors.get(visitor_id, user_id, at)


def keys(store: OnlineStore) -> list[str]:
    return [key for prefix in ("v:", "u:") for key, _ in store.scan(prefix)]


def test_a_shopper_is_a_stranger_on_every_device(
    eraser: Eraser, store: OnlineStore, clock: SetClock
) -> None:
    eraser.visitors.apply([event(clock, "phone"), event(clock, "phone", "ann")])
    eraser.visitors.apply([event(clock, "laptop", "ann"), event(clock, "other", "ben")])
    erased = eraser.erase("phone")
    assert (erased.visitor_ids, erased.user_id) == (("laptop", "phone"), "ann")
    for visitor_id in ("phone", "laptop"):
        assert known(eraser, visitor_id) == VisitorState()
    assert known(eraser, "phone", "ann") == VisitorState(user_id="ann")
    assert keys(store) == ["v:other", "u:ben"] or keys(store) == ["u:ben", "v:other"]
    assert known(eraser, "other").totals == {"view_item": 1}


def test_erasing_again_or_nobody_is_the_same_act(eraser: Eraser, clock: SetClock) -> None:
    assert eraser.erase("nobody").visitor_ids == ("nobody",)
    eraser.visitors.apply([event(clock, "v")])
    for _ in range(3):
        erased = eraser.erase("v")
        assert (erased.visitor_ids, erased.user_id, erased.at) == (("v",), None, clock.now)
        assert known(eraser, "v") == VisitorState()


def test_what_comes_late_is_dropped_and_what_comes_after_begins_anew(
    eraser: Eraser, store: OnlineStore, clock: SetClock
) -> None:
    late = [event(clock, "v"), event(clock, "v", "ann"), event(clock, "tablet", "ann")]
    eraser.visitors.apply([event(clock, "v", "ann")])
    eraser.erase("v")
    eraser.visitors.apply(late)
    assert keys(store) == []
    assert known(eraser, "v") == known(eraser, "tablet") == VisitorState()
    assert eraser.visitors.counts["erased"] == 3
    eraser.visitors.apply([event(clock, "v")])
    assert known(eraser, "v").totals == {"view_item": 1}
    assert known(eraser, "v").user_id is None


def test_a_process_killed_between_ledger_and_store_leaves_a_stranger_too(
    eraser: Eraser, store: OnlineStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    eraser.visitors.apply([event(clock, "v"), event(clock, "v", "ann")])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Visitors, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            eraser.erase("v")
    assert keys(store)
    assert known(eraser, "v") == VisitorState()
    assert eraser.visitors.links(["v"]) == {}
    eraser.visitors.apply([event(clock, "v")])
    assert known(eraser, "v").totals == {"view_item": 1}
    assert eraser.visitors.sweep_erased() == 1
    assert keys(store) == ["v:v"]


def test_a_login_while_the_visitor_is_erased_does_not_carry_the_past_along(
    eraser: Eraser, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look and the ledger, another process identifies the visitor."""
    eraser.visitors.apply([event(clock, "v")])
    logins = [event(clock, "v", "ann")]
    clock.now -= SECOND
    add = Erasures.add

    def add_after_a_login(self: Erasures, subjects: Sequence[str], at: int) -> None:
        if logins:
            eraser.visitors.apply([logins.pop()])
            clock.advance(2)
        add(self, subjects, at)

    monkeypatch.setattr(Erasures, "add", add_after_a_login)
    assert eraser.erase("v").user_id == "ann"
    assert known(eraser, "v") == VisitorState()
    assert known(eraser, "x", "ann").is_empty


def test_a_rebuild_that_began_before_the_erasure_brings_nothing_back(
    eraser: Eraser, store: OnlineStore, clock: SetClock
) -> None:
    events = [event(clock, "v", "ann"), event(clock, "w")]
    state = VisitorState(totals={"view_item": 1}, first_seen=events[0].ts, last_seen=events[0].ts)
    eraser.erase("v")
    eraser.visitors.apply([event(clock, "v", "ann")])
    eraser.erase("v")
    eraser.erase("w")
    old = [
        Rebuilt("ann", {"v": (events[0].ts, "e")}, state),
        Rebuilt(None, {"w": (0, "")}, state),
    ]
    eraser.visitors.put(old, clock.now)
    assert keys(store) == []
    assert eraser.visitors.counts["erased_meanwhile"] == 2


def test_feature_values_of_the_shopper_go_too(
    eraser: Eraser, store: OnlineStore, clock: SetClock
) -> None:
    eraser.visitors.apply([event(clock, "v", "ann")])
    row = FeatureRow(clock.now, (1,))
    put_features(store, "by_shopper", ["n"], [(("ann",), row), (("anna",), row)], 3600)
    put_features(store, "by_brand", ["n"], [(("ann", "acme"), row), (("v", "acme"), row)], 3600)
    eraser.erase("v")
    assert get_features(store, "by_shopper", [("ann",), ("anna",)]) == [None, {"n": 1}]
    assert get_features(store, "by_brand", [("ann", "acme"), ("v", "acme")]) == [None, None]


def test_all_processes_see_an_erasure_at_their_next_look(
    eraser: Eraser, clock: SetClock, tmp_path: Path
) -> None:
    other = Erasures(tmp_path / "erasures.json")
    assert other.erased_at("v", None) == 0
    for visitor_id in ("v", "w", "x"):
        at = eraser.erase(visitor_id).at
        assert other.erased_at(visitor_id, None) == at
        assert other.erased_at("elsewhere", visitor_id) == 0
        clock.advance(1)
