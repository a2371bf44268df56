from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.records import DecisionRecord
from tests.tabling import DAY, MINUTE, START
from tests.training.reports.lists import Row, act, decision, item, listed, store_of
from training.engine import Period
from training.reports.intrusiveness import (
    NO_RECORD,
    Intrusion,
    IntrusivenessReport,
    report_intrusiveness,
)
from training.reports.page import render_intrusiveness
from training.sections import EvaluationSpec

SPEC = EvaluationSpec(bootstrap_rounds=200)
PERIOD = Period(START, START + DAY)


def visits(mark: str, shoppers: int, showings: int, **parts: object) -> tuple[list, list]:
    """Visits in which the same two items are shown some times; half of them end with the last.

    The others look at something else after it. One in four dismisses an item.
    """
    rows: list[Row] = []
    records: list[DecisionRecord] = []
    for n in range(shoppers):
        who = f"{mark}{n}"
        for number in range(showings):
            answer = f"{who}-{number}"
            rows += listed(who, answer, "a", "b", at=number * MINUTE)
            records.append(decision(answer, [item("a"), item("b", 2, "popularity")], **parts))
        if n % 2:
            rows.append(act(who, "view_item", "z", showings * MINUTE))
        if n % 4 == 1:
            rows.append(act(who, "dismiss", "a", showings * MINUTE))
    return rows, records


def report(folder: Path, *logs: tuple[list, list]) -> IntrusivenessReport:
    rows = [each for some, _ in logs for each in some]
    records = [each for _, some in logs for each in some]
    return report_intrusiveness(store_of(folder, rows, records), PERIOD, SPEC)


def mean(row: Intrusion, name: str) -> float:
    interval = getattr(row, name)
    assert interval.low <= interval.mean <= interval.high
    return float(interval.mean)


def test_each_cost_by_its_definition(tmp_path: Path) -> None:
    found = report(tmp_path, visits("v", 40, 4))
    whole, (row,) = found.rows[0], found.rows[1:]
    assert (row.placement, row.arm) == ("home", "top · 01234567")
    assert (row.shoppers, row.visits, row.showings, row.items) == (40, 40, 160, 320)
    assert mean(row, "changed") == pytest.approx(0.5)
    # The third and fourth of four showings follow two that were ignored.
    assert mean(row, "repeats") == pytest.approx(0.5)
    assert mean(row, "dismissals") == pytest.approx(10 / 40)
    assert mean(row, "exits") == pytest.approx(20 / 160)
    assert mean(row, "taken") == 0
    for name in ("changed", "repeats", "dismissals", "exits"):
        assert getattr(whole, name) == getattr(row, name)


def test_placements_and_arms_stand_apart(tmp_path: Path) -> None:
    quiet = visits("q", 30, 1, surface="cart")
    loud = visits("l", 30, 4, surface="home", model_version="fedcba9876543210")
    lost_rows, _ = visits("n", 30, 4)
    found = report(tmp_path, quiet, loud, (lost_rows, []))
    rows = {(each.placement, each.arm): each for each in found.rows[1:]}
    assert rows.keys() == {
        ("cart", "top · 01234567"),
        ("home", "top · fedcba98"),
        ("home", NO_RECORD),
    }
    assert mean(rows["cart", "top · 01234567"], "repeats") == 0
    assert mean(rows["home", "top · fedcba98"], "repeats") == 0.5
    assert rows["home", NO_RECORD].changed is None
    assert found.counts["showings"] == 30 + 120 + 120


def test_exits_leave_out_visits_that_may_go_on(tmp_path: Path) -> None:
    rows, records = visits("v", 40, 1)
    layout = store_of(tmp_path, rows, records)
    early = Period(START, START + 2 * MINUTE)
    found = report_intrusiveness(layout, early, SPEC)
    assert found.counts["showings in visits that may go on"] == 40
    assert found.rows[0].exits is None


def test_few_visits_have_no_shares(tmp_path: Path) -> None:
    found = report(tmp_path, visits("v", 4, 1))
    assert found.rows[0].dismissals is None
    page = render_intrusiveness(found.figures)
    assert page.count("<img") == 1
    assert "<strong>\u2013</strong>" in page


def test_the_page_says_which_share_it_shows_and_runs_nothing_of_the_log(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>$\\frac{"
    found = report(tmp_path, visits("v", 40, 2, surface=evil))
    page = render_intrusiveness(found.figures)
    assert "the records hold only what was shown" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_same_log_gives_the_same_bytes(tmp_path: Path) -> None:
    rows, records = visits("v", 30, 2)
    one = report(tmp_path / "one", (rows, records))
    other = report(tmp_path / "two", (rows[::-1], records[::-1]))
    assert one.to_json() == other.to_json()
