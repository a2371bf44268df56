from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.events import EventItem, InteractionEvent
from feature_store.identities import find_links, with_shopper_id
from feature_store.layout import StoreLayout
from feature_store.materialise import materialise, materialise_rows, materialise_store
from feature_store.online.features import get_features
from feature_store.online.lmdb import LmdbStore
from feature_store.online.memory import MemoryStore
from feature_store.online.state import VisitorState, micros
from feature_store.online.state_codec import SCHEMA as STATE_SCHEMA
from feature_store.online.visitors import Visitors
from feature_store.tables import SCHEMA
from recommender.errors import DataError
from recommender.terms import EVENT_TYPES, PREFERENCES, VIEW_ITEM_LIST
from tests.tabling import bring_in, row

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NO_TIME = timedelta(0)


def table_of(events: Sequence[InteractionEvent]) -> pl.LazyFrame:
    """Rows as the interactions table holds them, with `shopper_id`."""
    rows = [
        {
            "event_id": event.event_id,
            "item_position": position,
            "event_type": event.event_type,
            "ts": event.ts,
            "available_at": event.ts,
            "visitor_id": event.visitor_id,
            "user_id": event.user_id,
            "item_id": item.item_id if item else None,
            "quantity": item.quantity if item else None,
            "search_term": event.search_term,
            "placement": event.placement_of(item) if item else event.placement,
            "recommendation_id": event.recommendation_of(item) if item else None,
        }
        for event in sorted(events, key=lambda event: (event.ts, event.event_id))
        for position, item in enumerate(event.items or (None,))
    ]
    frame = pl.DataFrame(
        [[row.get(name) for name in SCHEMA] for row in rows],
        schema={
            name: pl.Int64 if dtype == SCHEMA["ts"] else dtype for name, dtype in SCHEMA.items()
        },
        orient="row",
    ).cast({"ts": SCHEMA["ts"], "available_at": SCHEMA["available_at"]})
    return with_shopper_id(frame.lazy(), find_links(frame))


def new_visitors() -> Visitors:
    return Visitors(MemoryStore(lambda: micros(START)))


# What a state remembers in its own way.
TELLING = ("purchase", "refund", "dismiss", "add_to_wishlist", *PREFERENCES)
drafts = st.lists(
    st.tuples(
        st.sampled_from(["d0", "d1", "d2"]),
        st.sampled_from(EVENT_TYPES) | st.sampled_from([*TELLING, *[VIEW_ITEM_LIST] * 5]),
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.none() | st.integers(-1, 3)),
            max_size=3,
            unique_by=lambda item: item[0],
        ),
        st.sampled_from([None, None, None, None, "u0", "u1", "d1"]),
        st.sampled_from([None, None, "shoe", "hat", "x" * 150, "é"]),
    ),
    min_size=1,
    max_size=30,
)


def events_of(
    plan: list[tuple[str, str, list[tuple[str, int | None]], str | None, str | None]],
    apart: timedelta = SECOND,
) -> list[InteractionEvent]:
    return [
        InteractionEvent(
            f"e{n:03}",
            event_type,
            micros(START + n * apart),
            visitor_id,
            user_id=user_id,
            items=tuple(EventItem(item_id, quantity=pieces) for item_id, pieces in items),
            search_term=term,
            placement="home" if len(items) == 2 else None,
            recommendation_id="r" if len(items) == 3 else None,
        )
        for n, (visitor_id, event_type, items, user_id, term) in enumerate(plan, 1)
    ]


@settings(max_examples=120)
@given(drafts, st.sampled_from([1, 7, 1000]), st.sampled_from([SECOND, SECOND / 4, NO_TIME]))
def test_the_tables_give_what_applying_every_event_gives(plan, rows_per_bucket, apart) -> None:  # type: ignore[no-untyped-def]
    events = events_of(plan, apart)
    live, rebuilt = new_visitors(), new_visitors()
    for event in events:
        live.apply([event])
    report = materialise_rows(table_of(events), rebuilt, rows_per_bucket=rows_per_bucket)
    assert dict(rebuilt.scan()) == dict(live.scan())
    assert report.rows == table_of(events).collect().height
    assert report.put == report.shoppers == sum(not s.is_empty for _, s in live.scan())


@settings(max_examples=60)
@given(drafts, st.integers(0, 31))
def test_a_complete_online_store_is_not_changed_by_an_older_table(plan, cut) -> None:  # type: ignore[no-untyped-def]
    events = events_of(plan)
    live = new_visitors()
    live.apply(events)
    before = dict(live.scan())
    if cut_events := events[:cut]:
        materialise_rows(table_of(cut_events), live)
    assert dict(live.scan()) == before


@settings(max_examples=60)
@given(drafts, st.integers(1, 30))
def test_a_lost_store_is_whole_again_whichever_comes_first(plan, cut) -> None:  # type: ignore[no-untyped-def]
    plan = [(visitor, kind, items, None, term) for visitor, kind, items, _, term in plan]
    events = events_of(plan)
    whole, table_first, live_first = new_visitors(), new_visitors(), new_visitors()
    whole.apply(events)
    table_first_rows = table_of(events[:cut])
    materialise_rows(table_first_rows, table_first)
    table_first.apply(events[cut:])
    live_first.apply(events[cut:])
    materialise_rows(table_first_rows, live_first)
    assert dict(table_first.scan()) == dict(whole.scan())
    assert dict(live_first.scan()) == dict(whole.scan())


def view(visitor_id: str, second: int, user_id: str | None = None) -> InteractionEvent:
    return InteractionEvent(
        f"{visitor_id}-{second}",
        "view_item",
        micros(START + second * SECOND),
        visitor_id,
        user_id=user_id,
        items=(EventItem("a"),),
    )


def test_a_visitor_identified_after_the_tables_end_counts_for_the_user() -> None:
    events = [view("v1", 1), view("v1", 2), view("v1", 3, user_id="u1")]
    live = new_visitors()
    live.apply(events)
    materialise_rows(table_of(events[:2]), live)
    stored = dict(live.scan())
    assert stored["u:u1"].totals == {"view_item": 3}
    assert stored["v:v1"].is_empty


def test_at_leaves_out_what_was_not_known() -> None:
    visitors = new_visitors()
    rows = table_of([view("v1", second) for second in range(1, 11)])
    report = materialise_rows(rows, visitors, START + 4 * SECOND)
    assert (report.rows, report.rows_later) == (4, 6)
    assert report.until == "2026-03-01T12:00:04+00:00"
    assert visitors.get("v1", None, START).totals == {"view_item": 4}


def test_shoppers_not_seen_for_the_time_to_live_are_left_out_and_counted() -> None:
    visitors = new_visitors()
    rows = table_of([view("old", 1), view("new", 100 * 86_400)])
    report = materialise_rows(rows, visitors)
    assert (report.shoppers, report.expired, report.put) == (2, 1, 1)
    assert visitors.get("old", None, START) == VisitorState()


def test_progress_is_told_per_shopper() -> None:
    told: list[int] = []
    materialise_rows(
        table_of([view("v1", 1), view("v2", 2)]), new_visitors(), advance=lambda: told.append(1)
    )
    assert len(told) == 2


def test_nothing_to_materialise_is_said(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="run `ingest` first"):
        materialise(StoreLayout(tmp_path), new_visitors())
    with pytest.raises(DataError, match="known at that moment"):
        materialise_rows(table_of([view("v1", 5)]), new_visitors(), START)


def test_a_store_written_by_a_newer_program_is_left_alone_and_counted() -> None:
    store = MemoryStore(lambda: micros(START))
    newer = msgspec.msgpack.encode([STATE_SCHEMA + 1, "future"])
    store.update(["v:v1"], lambda _: {"v:v1": newer}, 3600)
    report = materialise_rows(table_of([view("v1", 1), view("v2", 1)]), Visitors(store))
    assert (report.put, report.skipped_newer_schema) == (1, 1)
    assert store.get_many(["v:v1"]) == [newer]


def test_the_verb_fills_the_store_from_an_ingested_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    events = [
        {
            "event_id": f"e{n}",
            "event_type": "view_item" if n % 3 else "purchase",
            "ts": (START + n * SECOND).isoformat(),
            "visitor_id": f"v{n % 4}",
            "items": [{"item_id": f"i{n % 5}"}],
        }
        for n in range(1, 41)
    ]
    log, root = tmp_path / "log.jsonl", tmp_path / "var"
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    command = [sys.executable, "-m", "desirepath"]
    ingest = ["ingest", "--log", log, "--format", "desirepath-jsonl", "--store", root]
    subprocess.run([*command, *ingest], check=True, capture_output=True, timeout=120)
    verb = [*command, "materialise", "--store", root, "--json", "--view", "visitor_activity"]
    done = subprocess.run(verb, check=True, capture_output=True, timeout=120)
    result = json.loads(done.stdout)
    assert (result["rows"], result["shoppers"], result["put"]) == (40, 4, 4)
    assert result["views"] == {"visitor_activity": 4}
    store = LmdbStore(root / "online", lambda: time.time_ns() // 1000)
    assert Visitors(store).get("v1", None, START).totals == {"view_item": 7, "purchase": 3}
    assert get_features(store, "visitor_activity", [("v1",)])[0]["views_30d"] == 7  # type: ignore[index]
    store.close()
    unknown = subprocess.run(
        [*verb, "--view", "nonsense"], check=False, capture_output=True, text=True, timeout=120
    )
    assert (unknown.returncode, "accepted: [" in unknown.stderr) == (2, True)
    empty = subprocess.run(
        [*command, "materialise", "--store", tmp_path / "none"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (empty.returncode, "run `ingest` first" in empty.stderr) == (1, True)


def test_a_view_as_of_a_moment_knows_nothing_of_later_logins(tmp_path) -> None:  # type: ignore[no-untyped-def]
    moment = micros(START)
    login = {"event_type": "identify", "item_id": None, "user_id": "bob"}
    layout = StoreLayout(tmp_path / "var")
    bring_in(
        layout,
        [
            row("e1", moment - 2, "phone"),
            row("e2", moment, "tablet"),
            row("e3", moment + 1, "phone", **login),
            row("e4", moment - 1, "tablet", available_at=moment + 1, **login),
        ],
    )
    materialise_store(layout, lambda: moment, START, ["visitor_activity"])
    store = LmdbStore(layout.online, lambda: moment)
    found = get_features(store, "visitor_activity", [("phone",), ("tablet",), ("bob",)])
    store.close()
    assert [known and known["views_30d"] for known in found] == [1, 1, None]
