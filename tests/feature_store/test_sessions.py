from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.layout import StoreLayout
from feature_store.sessions import CARRY_SCHEMA, assign_sessions, check_gap
from feature_store.tables import SESSION_GIVEN, STORED_SCHEMA, data_digest, read_interactions
from recommender.errors import ConfigError
from tests.tabling import DAY, HOUR, MINUTE, SECOND, START, bring_in, row

NO_CARRY = pl.DataFrame(schema=CARRY_SCHEMA)
GAP = 30 * 60
MIDNIGHT = START + 12 * HOUR


def sessions_of(events: list[tuple[str, int, str | None]], gap: int = GAP) -> list[str]:
    """Session ids of (visitor, µs after START, given id) in time order."""
    rows = [
        {
            **row(f"{number:03d}", START + after, visitor, session_id=given),
            SESSION_GIVEN: given is not None,
        }
        for number, (visitor, after, given) in enumerate(events)
    ]
    frame = pl.DataFrame(rows, schema=STORED_SCHEMA)
    return assign_sessions(frame, NO_CARRY, gap)["session_id"].to_list()


def stored_sessions(layout: StoreLayout) -> dict[str, str]:
    frame = read_interactions(layout).collect()
    return dict(zip(frame["event_id"], frame["session_id"], strict=True))


def test_silence_longer_than_the_gap_starts_a_session():
    at_gap = sessions_of([("v", 0, None), ("v", 30 * MINUTE, None)])
    beyond = sessions_of([("v", 0, None), ("v", 30 * MINUTE + 1, None)])
    assert len(set(at_gap)) == 1
    assert len(set(beyond)) == 2


def test_a_derived_id_says_who_and_when():
    assert sessions_of([("v", 5, None), ("v", 6, None)]) == [f"v@{START + 5}"] * 2


def test_visitors_do_not_share_sessions():
    first, second, third = sessions_of([("a", 0, None), ("b", 1, None), ("a", 2, None)])
    assert first == third != second


def test_a_given_id_is_kept_and_the_next_event_without_one_joins_it():
    found = sessions_of([("v", 0, None), ("v", 1, "s"), ("v", 2, None), ("v", 3, "t")])
    assert found == [f"v@{START}", "s", "s", "t"]


def test_a_given_id_does_not_outlive_silence():
    found = sessions_of([("v", 0, "s"), ("v", HOUR, None)])
    assert found == ["s", f"v@{START + HOUR}"]


def test_the_gap_is_a_parameter():
    assert len(set(sessions_of([("v", 0, None), ("v", 20 * SECOND, None)], gap=10))) == 2
    with pytest.raises(ConfigError, match="86400"):
        check_gap(86_401)
    with pytest.raises(ConfigError, match="session gap 0"):
        check_gap(0)


def test_midnight_does_not_end_a_session(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", MIDNIGHT - MINUTE), row("b", MIDNIGHT + MINUTE)])
    assert set(stored_sessions(layout).values()) == {f"v@{MIDNIGHT - MINUTE}"}


def test_midnight_does_not_end_a_session_when_the_days_come_one_by_one(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", MIDNIGHT - MINUTE)])
    bring_in(layout, [row("b", MIDNIGHT + MINUTE)])
    assert set(stored_sessions(layout).values()) == {f"v@{MIDNIGHT - MINUTE}"}


def test_a_late_event_joins_two_sessions_of_its_day_and_of_the_days_after(tmp_path):
    """A chain over two midnights hangs together only through an event that comes last."""
    layout = StoreLayout(tmp_path)
    gap = 86_400
    chain = [row("b", MIDNIGHT + 20 * HOUR), row("c", MIDNIGHT + 40 * HOUR)]
    bring_in(layout, [row("other", MIDNIGHT + 41 * HOUR, "w"), *chain], session_gap_seconds=gap)
    assert stored_sessions(layout)["c"] == f"v@{MIDNIGHT + 20 * HOUR}"
    report = bring_in(layout, [row("a", MIDNIGHT - HOUR)])
    found = stored_sessions(layout)
    assert {found[event] for event in "abc"} == {f"v@{MIDNIGHT - HOUR}"}
    assert len(report.days_rewritten) == 3


def test_a_late_event_rewrites_only_as_far_as_sessions_change(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row(str(day), START + day * DAY) for day in range(5)])
    report = bring_in(layout, [row("late", START + DAY + MINUTE)])
    assert report.days_rewritten == ("2026-03-02",)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.integers(0, 300).map(lambda minutes: minutes * MINUTE),
            st.sampled_from([None, None, "s"]),
        ),
        max_size=25,
    )
)
def test_sessions_follow_their_definition(events):
    events.sort(key=lambda event: event[1])
    expected, last = [], {}
    for visitor, after, given_id in events:
        when, session = last.get(visitor, (None, None))
        if given_id is not None:
            session = given_id
        elif when is None or after - when > 30 * MINUTE:
            session = f"{visitor}@{START + after}"
        last[visitor] = (after, session)
        expected.append(session)
    assert sessions_of(events) == expected


def test_the_same_events_in_days_or_at_once_give_the_same_table(tmp_path):
    rows = [row(str(n), MIDNIGHT + (n - 20) * 20 * MINUTE, f"v{n % 2}") for n in range(120)]
    whole, parts = StoreLayout(tmp_path / "whole"), StoreLayout(tmp_path / "parts")
    bring_in(whole, rows)
    for start in (80, 0, 40):
        bring_in(parts, rows[start : start + 40])
    assert data_digest(parts) == data_digest(whole)
