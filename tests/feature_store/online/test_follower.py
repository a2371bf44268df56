"""A store keeps step with the log through failures, losses and deaths: each event counts once."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_store.event_log.segment import list_segments
from feature_store.event_log.store import LogStoreOptions
from feature_store.event_log.stream import Place, end_of, place_of, portions, writers
from feature_store.event_log.writer import SegmentOptions
from feature_store.events import InteractionEvent
from feature_store.file_lock import exclusive
from feature_store.intake import Intake, IntakeOptions
from feature_store.layout import StoreLayout
from feature_store.online.follower import FEW_EVENTS, LogFollower
from feature_store.online.log_id import log_id
from feature_store.online.memory import MemoryStore
from feature_store.online.state import VisitorState
from feature_store.online.stream_replay import FollowerOptions
from feature_store.online.stream_state import PlaceMovedError, StreamState, place_key
from feature_store.online.visitor_draft import USER, VISITOR, Draft, never_erased
from feature_store.online.visitors import VisitorOptions, Visitors
from recommender.errors import StorageError
from tests.feature_store.log_cases import NOW, SECOND, MovingClock, decision, event, submit
from tests.feature_store.online.lasting import FaultyStore
from tests.serving.service import wait_for

QUICK = FollowerOptions(look_seconds=0.01, most_seconds=0.02, portion=3, most_of_portion=3, rest=0)
AT = datetime.fromtimestamp(NOW / SECOND, UTC)


@dataclass(frozen=True, slots=True)
class OwnIndex(StoreLayout):
    """A data folder as another process has it: an LMDB file is opened once per process only."""

    number: int = 0

    @property
    def dedup(self) -> Path:
        return self.root / f"dedup-{self.number}"


class Shop:
    """One log, one store, and the processes that write to both, one after the other or at once."""

    def __init__(self, root: Path) -> None:
        self.layout = StoreLayout(root)
        self.clock = MovingClock()
        self.store = FaultyStore(self.clock)
        self.plain = Visitors(MemoryStore(self.clock))
        self.processes: list[tuple[Intake, LogFollower]] = []

    def open(self, segment_bytes: int = 64 << 20) -> tuple[Intake, LogFollower]:
        follower = LogFollower(self.store, self.layout.log, options=QUICK)
        options = IntakeOptions(LogStoreOptions(SegmentOptions(segment_bytes)))
        layout = OwnIndex(self.layout.root, len(self.processes))
        intake = Intake(layout, follower, self.clock, options=options)
        intake.open()
        self.processes.append((intake, follower))
        return intake, follower

    def send(self, intake: Intake, *events: InteractionEvent) -> None:
        """Events that are acknowledged; a plain store learns of them without any fault."""
        assert submit(intake, events) == ["accepted"] * len(events)
        self.plain.apply(events)

    def state(self, visitor_id: str) -> VisitorState:
        return Visitors(self.store).get(visitor_id, None, AT)

    def check(self) -> None:
        """The store knows what one that never failed knows, no less and no more."""
        assert dict(Visitors(self.store).scan()) == dict(self.plain.scan())

    def close(self) -> None:
        for intake, follower in self.processes:
            follower.close()
            intake.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "shop")
    yield shop
    shop.close()


def test_an_event_counts_before_its_verdict_and_without_a_thread(shop: Shop) -> None:
    intake, follower = shop.open()
    follower.look()
    shop.send(intake, event("a"))
    assert shop.state("v1").totals == {"view_item": 1}
    assert (follower.counts.live, follower.counts.behind) == (1, 0)


@pytest.mark.parametrize("fails", ["before", "after"])
def test_what_a_failure_left_out_is_fetched_from_the_log_once(shop: Shop, fails: str) -> None:
    intake, follower = shop.open()
    follower.look()
    shop.send(intake, event("a"))
    shop.store.fails = fails
    shop.send(intake, event("b"), event("c", visitor_id="v2"))
    assert follower.counts.behind == 1
    tried = shop.store.updates
    shop.send(intake, event("d"))
    assert shop.store.updates == tried, "a store in trouble is tried by nobody who waits"
    with pytest.raises(StorageError):
        follower.look()
    shop.store.fails = None
    follower.look()
    assert follower.counts.behind == 0
    shop.check()
    shop.send(intake, event("e"))
    shop.check()


def test_who_has_caught_up_waits_for_others_that_lost_the_same_store(shop: Shop) -> None:
    """Events that are applied as they happen would spoil what the others replay."""
    (one, first), (other, second) = shop.open(), shop.open()
    first.look()
    second.look()
    shop.send(one, event("a"))
    shop.send(other, *(event(f"b{n}", visitor_id=f"v{n}") for n in range(FEW_EVENTS)))
    shop.store.forget()
    ahead = threading.Thread(target=first.look)
    ahead.start()
    ahead.join(0.3)
    assert ahead.is_alive()
    shop.send(one, event("late"))
    assert first.counts.behind == 1
    second.look()
    ahead.join(10)
    assert (first.counts.behind, second.counts.behind) == (0, 0)
    shop.check()


def test_a_store_that_lost_everything_learns_it_again(shop: Shop) -> None:
    intake, follower = shop.open(segment_bytes=1_500)  # several segments
    follower.look()
    for n in range(12):
        shop.send(intake, event(f"e{n}", NOW - 100 + n, visitor_id=f"v{n % 3}"))
        intake.record(decision(f"d{n}"))
    shop.store.forget()
    follower.look()
    shop.check()
    assert follower.counts.lost == 1
    assert follower.counts.replayed == 12


def test_a_store_that_went_back_learns_what_it_forgot(shop: Shop) -> None:
    intake, follower = shop.open()
    follower.look()
    shop.send(intake, event("a"))
    copy = shop.store.copy()
    shop.send(intake, event("b"), event("c"))
    shop.store.go_back_to(copy)
    shop.send(intake, event("d"))  # found out by the next event, before anybody looks
    assert follower.counts.behind == 1
    follower.look()
    assert follower.counts.replayed == 3
    shop.check()


def test_what_a_dead_process_left_behind_is_done_by_whoever_lives(shop: Shop) -> None:
    first, _ = shop.open()
    second, follower = shop.open()
    assert (first.writer, second.writer) == ("serve.1", "serve.2")
    shop.send(first, event("a"), event("b"))  # its follower never looks
    follower.look()
    assert shop.state("v1").totals == {}, "it lives, and looks after its stream itself"
    first.close()
    follower.look()
    shop.check()
    follower.look()
    assert follower.counts.replayed == 2


def test_the_next_process_goes_on_where_the_last_one_ended(shop: Shop) -> None:
    intake, follower = shop.open()
    follower.look()
    shop.send(intake, event("a"))
    shop.store.fails = "before"
    shop.send(intake, event("b"))
    shop.close()
    shop.store.fails = None
    again, next_follower = shop.open()
    next_follower.look()
    assert next_follower.counts.replayed == 1
    shop.send(again, event("c"))
    assert next_follower.counts.live == 1
    shop.check()


def test_a_store_that_answers_badly_is_left_to_the_thread(shop: Shop) -> None:
    trust = [True]
    follower = LogFollower(shop.store, shop.layout.log, options=QUICK, is_trusted=lambda: trust[0])
    intake = Intake(shop.layout, follower, shop.clock)
    shop.processes.append((intake, follower))
    intake.open()
    follower.look()
    trust[0] = False
    shop.send(intake, event("a"))
    assert (shop.store.updates, follower.counts.behind) == (0, 1)
    follower.look()
    shop.check()
    assert follower.counts.behind == 1
    trust[0] = True
    follower.look()
    shop.send(intake, event("b"))
    assert (follower.counts.live, follower.counts.behind) == (1, 0)
    shop.check()


def test_the_thread_brings_the_store_back_by_itself(shop: Shop) -> None:
    intake, follower = shop.open()
    follower.start()
    wait_for(lambda: not follower.counts.behind)
    shop.store.fails = "before"
    shop.send(intake, event("a"))
    wait_for(lambda: follower.counts.failures > 2)
    shop.store.fails = None
    wait_for(lambda: not follower.counts.behind)
    shop.check()


def test_events_that_come_during_a_replay_wait_for_it_and_are_not_lost(shop: Shop) -> None:
    intake, follower = shop.open()
    follower.look()
    shop.store.fails = "before"
    shop.send(intake, *(event(f"e{n}", NOW - 100 + n) for n in range(20)))
    shop.store.fails = None
    follower.start()
    for n in range(30):
        shop.send(intake, event(f"f{n}", NOW - 100 + n, visitor_id=f"v{n % 5}"))
    wait_for(lambda: not follower.counts.behind)
    shop.check()


def test_an_event_that_cannot_be_applied_is_passed_over_and_counted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake, follower = shop.open()
    apply = Draft.apply

    def picky(self: Draft, visitor_id: str, events: list[InteractionEvent]) -> None:
        if any(each.event_id == "bad" for each in events):
            raise ValueError("a defect")
        apply(self, visitor_id, events)

    monkeypatch.setattr(Draft, "apply", picky)
    assert submit(intake, [event("a"), event("bad"), event("b"), event("c")]) == ["accepted"] * 4
    follower.look()
    assert shop.state("v1").totals == {"view_item": 3}
    assert (follower.counts.unusable, follower.counts.behind) == (1, 0)


def test_a_job_beside_the_service_waits_for_it_and_does_the_rest(shop: Shop) -> None:
    intake, follower = shop.open()
    shop.send(intake, event("a"))
    job = LogFollower(shop.store, shop.layout.log, options=QUICK)
    assert not job.settle(), "the service lives, and has not applied its event yet"
    follower.look()
    assert job.settle()
    shop.send(intake, event("b"))
    shop.store.forget()
    intake.close()
    assert job.settle()
    shop.check()


def test_processes_replay_one_at_a_time(shop: Shop) -> None:
    intake, follower = shop.open()
    shop.send(intake, event("a"))
    with exclusive(shop.layout.log / "follow.lock"):
        looking = threading.Thread(target=follower.look)
        looking.start()
        looking.join(0.1)
        assert follower.counts.behind == 1, "another process is replaying"
    looking.join(10)
    assert follower.counts.behind == 0
    shop.check()


def test_two_logs_do_not_share_their_places(shop: Shop, tmp_path: Path) -> None:
    other = Shop(tmp_path / "other")
    other.store, other.plain = shop.store, shop.plain
    for each in (shop, other):
        intake, follower = each.open()
        follower.look()
        each.send(intake, event("a"))
    assert shop.state("v1").totals == {"view_item": 2}
    assert log_id(shop.layout.log) == log_id(shop.layout.log) != log_id(other.layout.log)
    other.close()


def test_a_place_that_moved_is_found_out_before_anything_is_written(shop: Shop) -> None:
    states = [
        StreamState(shop.store, "w.1", place_key("log", "w.1"), VisitorOptions(), never_erased)
        for _ in range(2)
    ]
    states[0].apply([event("a")], Place(1, 100))
    with pytest.raises(PlaceMovedError):
        states[1].apply([event("a")], Place(1, 100))
    assert states[1].stored == Place(1, 100)
    assert shop.state("v1").totals == {"view_item": 1}


def test_portions_are_the_events_between_two_places(shop: Shop) -> None:
    intake, _ = shop.open(segment_bytes=900)
    for n in range(9):
        submit(intake, [event(f"e{n}")])
        intake.record(decision(f"d{n}"))
    log = shop.layout.log
    assert writers(list_segments(log)) == ["serve.1"]
    assert len(list_segments(log)) > 2
    end = end_of(log, "serve.1")
    parts = list(portions(log, "serve.1", Place(), end, 2))
    ids = [each.event_id for part in parts for each in part.events]
    assert ids == [f"e{n}" for n in range(9)]
    assert parts[-1].end == end
    for number, part in enumerate(parts[:-1]):
        rest = portions(log, "serve.1", part.end, end, 100)
        assert [e.event_id for each in rest for e in each.events] == ids[2 * number + 2 :]
        done = portions(log, "serve.1", Place(), part.end, 100)
        assert [e.event_id for each in done for e in each.events] == ids[: 2 * number + 2]
    assert next(portions(log, "serve.1", end, end, 2)).events == []
    with pytest.raises(ValueError, match="no segment"):
        place_of("index", 1)


WHO = st.sampled_from(["v1", "v2", "v3"])
STEPS = st.one_of(
    st.tuples(st.just("send"), WHO, st.none() | st.sampled_from(["u1", "u2"])),
    st.tuples(st.just("fails"), st.sampled_from([None, "before", "after"]), st.none()),
    st.tuples(st.sampled_from(["look", "restart", "forget", "copy", "back"]), st.none(), st.none()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=25))
def test_whatever_happens_each_event_counts_once(steps: list[tuple[str, str, str]]) -> None:
    """The clock moves with every event, so that the order of the log is that of time."""
    root = Path(tempfile.mkdtemp())
    shop = Shop(root)
    try:
        _carry_out(shop, steps)
        shop.store.fails = None
        for _ in range(3):
            shop.processes[-1][1].look()
        assert not shop.processes[-1][1].counts.behind
        shop.check()
    finally:
        shop.close()
        shutil.rmtree(root)


def _carry_out(shop: Shop, steps: list[tuple[str, str, str]]) -> None:
    intake, follower = shop.open(segment_bytes=2_000)
    copy = shop.store.copy()
    for number, (what, who, user) in enumerate(steps):
        shop.clock.now += SECOND
        if what == "send":
            more = {"user_id": user} if user else {}
            shop.send(intake, event(f"e{number}", shop.clock.now, visitor_id=who, **more))
        elif what == "fails":
            shop.store.fails = who
        elif what == "restart":
            follower.close()
            intake.close()
            intake, follower = shop.open(segment_bytes=2_000)
        elif what == "look" and not shop.store.fails:
            follower.look()
        elif what == "forget":
            shop.store.forget()
        elif what == "copy":
            copy = shop.store.copy()
        elif what == "back":
            shop.store.go_back_to(copy)


def test_applying_from_several_threads_at_once_counts_each_event_once(shop: Shop) -> None:
    """Two processes' worth of streams, both looked at by everybody, one store."""
    pairs = [shop.open() for _ in range(3)]
    for _, follower in pairs:
        follower.start()

    def work(number: int) -> None:
        for n in range(25):
            shop.send(pairs[number][0], event(f"{number}-{n}", NOW, visitor_id=f"v{number}"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    shop.store.forget()
    for thread in threads:
        thread.join()
    wait_for(lambda: not any(follower.counts.behind for _, follower in pairs))
    for _, follower in pairs:
        follower.look()
    assert {key[:2] for key, _ in Visitors(shop.store).scan()} <= {VISITOR, USER}
    shop.check()
