from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from feature_store.cli import app
from feature_store.erase import erase
from feature_store.erased_rows import erased_visitors, links_left, without_erased
from feature_store.erasures import RECORD, USER, VISITOR, Erasures, subject_of
from feature_store.event_log import LogReader
from feature_store.events import EventItem, InteractionEvent
from feature_store.identities import find_links, with_shopper_id
from feature_store.ingest import ingest
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.materialise import materialise_rows, materialise_store
from feature_store.online.erase import Eraser
from feature_store.online.lmdb import LmdbStore
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from feature_store.records import AssignmentRecord, DecisionItem, DecisionRecord, EventRecord
from feature_store.tables import data_digest, read_interactions
from recommender.errors import InvalidEventError, StorageError
from recommender.terms import SHOPPER_ID
from tests.feature_store.test_materialise import drafts, events_of, table_of
from tests.tabling import START, bring_in, row

SUBJECT = "erased-phone-4711"
ACCOUNT, TABLET = "erased-account-4711", "erased-tablet-4711"
LINE = b'{"visitor_id": "%b", "event_type": "nonsense"}' % SUBJECT.encode()


class Shop:
    """A data folder with a service's parts, whose clock is set."""

    def __init__(self, root: Path) -> None:
        self.layout, self.now = StoreLayout(root), START
        self.store = LmdbStore(self.layout.online, lambda: self.now, 1 << 20)
        self.erasures = Erasures(self.layout.erasures)
        self.visitors = Visitors(self.store, erased_at=self.erasures.erased_at)
        self.intake = Intake(self.layout, self.visitors, lambda: self.now)
        self.eraser = Eraser(
            self.store, self.visitors, self.erasures, lambda: self.now, lambda _, name: f"~{name}"
        )

    def send(self, *events: InteractionEvent | InvalidEventError) -> list[str]:
        raws = [LINE if isinstance(each, InvalidEventError) else b"{}" for each in events]
        verdicts = self.intake.submit(list(events), raws).result()
        return [verdict.code or verdict.status for verdict in verdicts]

    def decide(self, visitor_id: str) -> None:
        self.intake.record(
            DecisionRecord(
                decision_id=f"d-{self.now}",
                request_id="r",
                ts_server=self.now,
                seq=0,
                writer="",
                subject_key=f"~{visitor_id}",
                surface="home",
                policy_id="top",
                model_version="1",
                config_digest="",
                code_version="",
                served_level="popular",
                items=(DecisionItem("i", 1, 1.0, "popular"),),
                eligible_count=1,
                session_key="session",
                attributes_used={"history": 3},
                assignments=(AssignmentRecord("test", 0, "a", in_experiment=True, unit_key="~u"),),
            )
        )

    def close(self) -> None:
        self.intake.close()
        self.store.close()

    def ingest(self) -> None:
        ingest(self.layout.log, "desirepath-log", self.layout)


def view(name: str, ts: int, visitor_id: str, user_id: str | None = None) -> InteractionEvent:
    items = (EventItem(f"item-{name}"),)
    return InteractionEvent(name, "view_item", ts, visitor_id, user_id=user_id, items=items)


def others() -> list[InteractionEvent]:
    return [view(f"o{n}", START + n * 1000, f"v{n % 3}") for n in range(9)]


def theirs() -> list[InteractionEvent]:
    return [
        view("t1", START + 10, SUBJECT),
        view("t2", START + 20, SUBJECT, ACCOUNT),
        view("t3", START + 30, TABLET),
        view("t4", START + 40, TABLET, ACCOUNT),
        view("t5", START + 50, "v1", ACCOUNT + "-no"),
    ]


def files_naming(root: Path, *names: str) -> list[str]:
    """Files in which a name can be found. LMDB never shrinks: its free pages are not looked at."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.parent.name not in {"online", "index"}:
            text = path.read_bytes()
            found += [path.name for name in names if name.encode() in text]
    return found


def test_after_the_job_the_shop_is_as_if_they_had_never_been(tmp_path: Path) -> None:
    with_them, without = Shop(tmp_path / "with"), Shop(tmp_path / "without")
    for shop, events in ((with_them, [*others(), *theirs()]), (without, [*others(), theirs()[-1]])):
        shop.now = START + 1_000_000
        shop.send(*events)
        shop.decide("v1")
    with_them.send(InvalidEventError("unknown_event_type", "it is nonsense"))
    with_them.decide(SUBJECT)
    with_them.ingest()
    without.ingest()
    before = data_digest(with_them.layout)
    with_them.now += 1_000_000
    with_them.eraser.erase(SUBJECT)
    assert data_digest(with_them.layout) != before  # so that a retraining is due
    rows = read_interactions(with_them.layout).collect()
    assert rows.equals(read_interactions(without.layout).collect())

    verb = [sys.executable, "-m", "desirepath", "erase", "--store", with_them.layout.root, "--json"]
    beside = json.loads(subprocess.run(verb, check=True, capture_output=True, timeout=120).stdout)
    assert (beside["rows"], beside["waiting"], beside["settled"]) == (4, 5, 0)
    assert beside["quarantined"] == 1
    with_them.close()
    without.close()
    done = erase(with_them.layout, lambda: with_them.now)
    assert (done.rows, done.events, done.decisions, done.waiting) == (0, 4, 1, 0)
    assert done.settled == done.subjects == 6
    assert data_digest(with_them.layout) == data_digest(without.layout)
    catalogue = with_them.layout.tables / "catalogue"
    assert [path.name for path in catalogue.glob("derived-*")]
    assert files_naming(tmp_path / "with", SUBJECT, ACCOUNT + '"', TABLET, "~erased") == []
    assert files_naming(tmp_path / "with", ACCOUNT + "-no")
    again = erase(with_them.layout, lambda: with_them.now)
    assert (again.rows, again.events, again.decisions, again.settled) == (0, 0, 0, 0)


def test_the_log_is_whole_after_the_job(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.now = START + 1_000_000
    shop.send(*others(), *theirs())
    shop.decide(SUBJECT)
    shop.eraser.erase(SUBJECT)
    shop.close()
    before = LogReader(shop.layout.log)
    list(before)
    erase(shop.layout, lambda: shop.now)
    after = LogReader(shop.layout.log)
    records = [entry.record for entry in after]
    assert after.positions == before.positions
    assert (after.counts.damaged, after.counts.unknown, after.counts.unreadable) == (0, 0, 0)
    assert after.counts.events == before.counts.events - 4
    (decision,) = [each for each in records if isinstance(each, DecisionRecord)]
    assert (decision.subject_key, decision.subject_type) == ("", "anonymous")
    assert (decision.session_key, decision.attributes_used) == (None, {})
    assert decision.items[0].item_id == "i"
    assert [(each.variant, each.unit_key) for each in decision.assignments] == [("a", None)]
    reopened = Shop(tmp_path)
    assert reopened.send(view("new", START + 2_000_000, "v9")) == ["accepted"]
    seqs = [each.record.seq for each in LogReader(reopened.layout.log)]
    assert len(set(seqs)) == len(seqs)
    reopened.close()


def test_what_arrives_late_is_refused_and_not_kept(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.now = START + 1_000_000
    shop.send(theirs()[1])
    shop.eraser.erase(SUBJECT)
    shop.now += 1_000_000
    late = [theirs()[0], view("t6", START + 60, "elsewhere", ACCOUNT)]
    assert shop.send(*late) == ["erased", "erased"]
    assert shop.send(theirs()[1]) == ["duplicate"]
    assert shop.send(view("after", shop.now, SUBJECT)) == ["accepted"]
    shop.close()
    shop.ingest()
    assert read_interactions(shop.layout).collect()["event_id"].to_list() == ["after"]
    assert files_naming(shop.layout.quarantine, SUBJECT, ACCOUNT) == []
    assert [
        e.record.event.event_id
        for e in LogReader(shop.layout.log)
        if isinstance(e.record, EventRecord)
    ] == ["t2", "after"]


def test_a_rebuild_without_the_job_knows_nothing_of_them(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.now = START + 1_000_000
    shop.send(*others(), *theirs())
    shop.close()
    shop.ingest()
    reopened = Shop(tmp_path)
    reopened.now = START + 2_000_000
    reopened.eraser.erase(SUBJECT)
    reopened.close()
    materialise_store(shop.layout, lambda: reopened.now, views=["visitor_activity"])
    store = LmdbStore(shop.layout.online, lambda: reopened.now)
    stored = [key for prefix in ("v:", "u:", "f:") for key, _ in store.scan(prefix)]
    store.close()
    assert stored
    assert not [key for key in stored if key.endswith((SUBJECT, ACCOUNT, TABLET))]


def test_a_file_that_is_ingested_again_brings_nothing_back(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    rows = [row("a", START, SUBJECT), row("b", START + 1, "v"), row("c", START + 9, SUBJECT)]
    Erasures(layout.erasures).add([subject_of(VISITOR, SUBJECT)], START + 5)
    report = bring_in(layout, rows)
    assert (report.rows_in, report.kept, report.rejected) == (3, 2, {"erased": 1})
    assert read_interactions(layout).collect()["event_id"].to_list() == ["b", "c"]
    assert files_naming(layout.quarantine, SUBJECT) == []


def test_a_device_that_the_online_store_had_forgotten_goes_with_its_user(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    rows = [row("a", START, TABLET), row("b", START + 1, TABLET, user_id=ACCOUNT)]
    bring_in(layout, [*rows, row("c", START + 2, TABLET), row("d", START + 3, TABLET)])
    erasures = Erasures(layout.erasures)
    erasures.add([subject_of(USER, ACCOUNT)], START + 2)
    left = read_interactions(layout).collect()
    assert left.select("event_id", SHOPPER_ID).rows() == [("d", TABLET)]
    report = erase(layout, lambda: START + 10)
    assert (report.rows, report.settled) == (3, 2)
    # The session that began before is another one now.
    again = read_interactions(layout).collect()
    assert again.drop("session_id").equals(left.drop("session_id"))
    assert bring_in(layout, [row("e", START, TABLET)]).rejected == {"erased": 1}


def test_a_day_that_held_nobody_else_is_gone(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, SUBJECT)])
    Erasures(layout.erasures).add([subject_of(VISITOR, SUBJECT)], START)
    assert erase(layout, lambda: START).rows == 1
    assert read_interactions(layout).collect().is_empty()
    assert files_naming(layout.tables, SUBJECT) == []


def test_a_broken_ledger_is_said_and_nobody_is_read_meanwhile(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, SUBJECT)])
    layout.erasures.write_bytes(b"{")
    with pytest.raises(StorageError, match=r"erasures\.json: cannot be read"):
        read_interactions(layout)


def test_moments_only_grow_and_settling_misses_what_came_meanwhile(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path / "erasures.json")
    erasures.add(["s", "t"], 5)
    erasures.add(["s"], 3)
    assert erasures.subjects == {"s": 5, "t": 5}
    seen = dict(erasures.pending)
    erasures.add(["t"], 9)
    erasures.settle(seen)
    assert erasures.pending == {"t": 9}
    assert subject_of(VISITOR, "x") != subject_of(USER, "x") != subject_of(RECORD, "x")


def test_the_verb_says_what_was_removed(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, SUBJECT), row("b", START)])
    Erasures(layout.erasures).add([subject_of(VISITOR, SUBJECT)], START)
    done = CliRunner().invoke(app, ["erase", "--store", str(tmp_path), "--json"])
    result = json.loads(done.stdout)
    assert (done.exit_code, result["rows"], result["settled"]) == (0, 1, 1)
    assert result["days_rewritten"] == ["2026-03-01"]


@settings(max_examples=40)
@given(drafts, st.integers(0, 30), st.sampled_from(["d0", "d1"]))
def test_a_rebuild_is_as_if_what_was_erased_had_never_been(
    plan: list[tuple[str, str, list[tuple[str, int | None]], str | None, str | None]],
    cut: int,
    visitor_id: str,
) -> None:
    events = events_of(plan)
    at = events[min(cut, len(events)) - 1].ts if cut else events[0].ts - 1
    with TemporaryDirectory() as folder:
        erasures = Erasures(Path(folder) / "erasures.json")
        store = MemoryStore(lambda: at)
        live = Visitors(store, erased_at=erasures.erased_at)
        live.apply([event for event in events if event.ts <= at])
        eraser = Eraser(store, live, erasures, lambda: at, lambda kind, name: kind + name)
        erased = eraser.erase(visitor_id)
        live.apply([event for event in events if event.ts > at])
        rows = table_of(events).drop(SHOPPER_ID)
        links = find_links(rows.collect())
        # Every device that was ever the user's, whoever has it now.
        theirs = dict(erased_visitors(rows, links, erasures.subjects).iter_rows())
        assert set(erased.visitor_ids) & {e.visitor_id for e in events} <= theirs.keys()
        left = [
            e
            for e in events
            if e.ts > max(theirs.get(e.visitor_id, 0), erasures.erased_at(None, e.user_id))
        ]
        fresh, rebuilt = Visitors(MemoryStore(lambda: at)), Visitors(MemoryStore(lambda: at))
        fresh.apply(left)
        kept = without_erased(rows, links, erasures.subjects)
        known = links_left(links, links, rows, erasures.subjects)
        if left:
            materialise_rows(with_shopper_id(kept, known), rebuilt)
        moment = datetime.fromtimestamp(events[-1].ts / 1e6, UTC)
        # What somebody else did on such a device is gone from the tables; their own state stays.
        gone = {e.user_id for e in events if e not in left}
        staying = {user for user in gone if user and not erasures.erased_at(None, user)}
        for name in erased.visitor_ids:
            state = live.get(name, None, moment)
            if state.user_id not in staying:
                assert state == fresh.get(name, None, moment)
    assert dict(rebuilt.scan()) == dict(fresh.scan())
