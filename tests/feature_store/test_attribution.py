from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.attribution import (
    DECISIONS,
    EXPOSURES,
    OUTCOMES,
    Attribution,
    attribute,
)

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def decision(number: int, at: int, *items: str, subject: str = "ann", qa: bool = False) -> list:
    return [(f"d{number}", at, subject, item, slot, qa) for slot, item in enumerate(items, 1)]


def outcome(number: int, item: str, at: int, **more: Any) -> tuple[Any, ...]:
    given = {"rec": None, "subject": "ann", "kind": "view_item", "value": None} | more
    return (f"e{number}", given["kind"], item, at, given["rec"], given["subject"], given["value"])


def frame(rows: list, schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def joined(decisions: list, exposures: list, outcomes: list, window: int = HOUR) -> Attribution:
    return attribute(
        frame(decisions, DECISIONS), frame(exposures, EXPOSURES), frame(outcomes, OUTCOMES), window
    )


def credits(found: Attribution) -> dict[str, tuple[str, int, str]]:
    rows = found.credited.select("event_id", "decision_id", "slot", "how").iter_rows()
    return {event: (where, slot, how) for event, where, slot, how in rows}


def test_an_id_names_the_answer_and_without_one_the_latest_showing_counts() -> None:
    decisions = [*decision(1, 0, "a", "b"), *decision(2, 10 * MINUTE, "b", "a")]
    outcomes = [outcome(1, "b", 20 * MINUTE, rec="d1"), outcome(2, "b", 20 * MINUTE)]
    assert credits(joined(decisions, [], outcomes)) == {
        "e1": ("d1", 2, "recommendation_id"),
        "e2": ("d2", 1, "window"),
    }


def test_every_outcome_without_credit_has_a_reason() -> None:
    decisions = [*decision(1, 0, "a"), *decision(2, 0, "z", qa=True)]
    outcomes = [
        outcome(1, "a", MINUTE, rec="d1"),
        outcome(2, "a", MINUTE, rec="d9"),
        outcome(3, "b", MINUTE, rec="d1"),
        outcome(4, "a", 2 * HOUR, rec="d1"),
        outcome(5, "a", 2 * HOUR),
        outcome(6, "c", MINUTE),
        outcome(7, "a", MINUTE, subject="bob"),
        outcome(8, "z", MINUTE, rec="d2"),
        outcome(9, "z", MINUTE),
        outcome(10, "a", -MINUTE),
    ]
    found = joined(decisions, [], outcomes)
    assert found.outcomes == {
        "recommendation_id": 1,
        "unknown_id": 1,
        "not_in_answer": 1,
        "outside_window": 2,
        "no_suggestion": 4,
        "qa": 1,
    }
    assert found.unmatched_share == pytest.approx(0.9)
    assert found.qa_items == 1
    assert found.shown["decision_id"].to_list() == ["d1"]


def test_only_what_was_visible_is_credited_by_time() -> None:
    decisions = [*decision(1, 0, "a", "b"), *decision(2, MINUTE, "b")]
    exposures = [("d2", "b", 5 * MINUTE), ("d1", "a", 2 * MINUTE), ("d7", "x", 0)]
    outcomes = [
        outcome(1, "b", 3 * MINUTE),  # d1's was not visible, d2's not yet
        outcome(2, "b", 6 * MINUTE),
        outcome(3, "a", 6 * MINUTE),
    ]
    found = joined(decisions, exposures, outcomes)
    assert {event: where for event, (where, *_) in credits(found).items()} == {
        "e2": "d2",
        "e3": "d1",
    }
    assert found.exposures == {"items shown": 3, "of unknown decisions": 1}
    assert found.shown["shown_at"].to_list() == [2 * MINUTE, None, 5 * MINUTE]


def test_an_event_of_a_visitor_and_a_user_counts_once() -> None:
    decisions = decision(1, 0, "a", subject="user-key")
    outcomes = [
        outcome(1, "a", MINUTE, subject="visitor-key"),
        outcome(1, "a", MINUTE, subject="user-key"),
    ]
    found = joined(decisions, [], outcomes)
    assert found.outcomes == {"window": 1}


def test_nobody_is_never_credited_by_time() -> None:
    found = joined(decision(1, 0, "a", subject=""), [], [outcome(1, "a", MINUTE, subject="")])
    assert found.outcomes == {"no_suggestion": 1}


def test_nothing_gives_nothing() -> None:
    found = joined([], [], [])
    assert (found.outcomes, found.unmatched_share, len(found.credited)) == ({}, 0.0, 0)


items, subjects = st.sampled_from("abc"), st.sampled_from(["ann", "bob"])
moments = st.integers(0, 3 * HOUR)
some_decisions = st.lists(
    st.tuples(moments, st.lists(items, unique=True, min_size=1), subjects), max_size=5
).map(
    lambda rows: [
        row
        for n, (at, listed, subject) in enumerate(rows)
        for row in decision(n, at, *listed, subject=subject)
    ]
)
some_outcomes = st.lists(
    st.tuples(items, moments, st.sampled_from([None, "d0", "d1", "d9"]), subjects), max_size=8
).map(
    lambda rows: [
        outcome(n, item, at, rec=rec, subject=subject)
        for n, (item, at, rec, subject) in enumerate(rows)
    ]
)
some_exposures = st.lists(
    st.tuples(st.sampled_from(["d0", "d1", "d9"]), items, moments), max_size=4
)


@given(some_decisions, some_exposures, some_outcomes, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing_and_every_outcome_is_counted(
    decisions: list, exposures: list, outcomes: list, rng: random.Random
) -> None:
    found = joined(decisions, exposures, outcomes)
    assert sum(found.outcomes.values()) == len(outcomes)
    again = [rows * 2 for rows in (decisions, exposures, outcomes)]
    for rows in again:
        rng.shuffle(rows)
    other = joined(*again)
    assert other.credited.equals(found.credited)
    assert other.shown.equals(found.shown)
    assert (other.outcomes, other.exposures) == (found.outcomes, found.exposures)


@given(some_decisions, some_outcomes)
def test_what_comes_late_is_credited_by_running_it_again(decisions: list, outcomes: list) -> None:
    half = len(outcomes) // 2
    first, whole = joined(decisions, [], outcomes[:half]), joined(decisions, [], outcomes)
    early = whole.credited.filter(pl.col("event_id").is_in([row[0] for row in outcomes[:half]]))
    assert early.equals(first.credited)
