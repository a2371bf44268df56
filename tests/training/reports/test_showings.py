from __future__ import annotations

from pathlib import Path

import pytest

from recommender.errors import DataError
from tests.tabling import DAY, MINUTE, SECOND, START
from tests.training.reports.lists import Row, act, decision, item, listed, store_of
from training.engine import Period
from training.reports.answers import NOT_KNOWN, answer_of, personal_share
from training.reports.showings import UNNAMED, Showings, read_showings

GAP = 30 * MINUTE


def showings(folder: Path, rows: list[Row], records: tuple = (), first: int = START) -> Showings:
    layout = store_of(folder, rows, records)
    return read_showings(layout, Period(first, START + 10 * DAY), GAP)


def by_item(found: Showings, column: str) -> dict[str, object]:
    return dict(zip(found.item_ids, getattr(found, column).tolist(), strict=True))


def test_what_came_of_each_item(tmp_path: Path) -> None:
    rows = [
        *listed("ann", "r1", "a", "b", "c", "d"),
        act("ann", "select_item", "a", MINUTE, "r1"),
        act("ann", "dismiss", "b", 2 * MINUTE),
        act("ann", "view_item", "c", 3 * MINUTE),  # came another way
        act("ann", "select_item", "d", 31 * MINUTE, "r1"),  # too late
    ]
    found = showings(tmp_path, rows)
    assert by_item(found, "taken") == {"a": True, "b": False, "c": False, "d": False}
    assert by_item(found, "dismissed") == {"a": False, "b": True, "c": False, "d": False}
    assert by_item(found, "position") == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert not found.is_exit.any()
    assert found.counts["taken up"] == 1


def test_repeats_count_what_was_ignored_before_the_period(tmp_path: Path) -> None:
    rows = [
        *(each for n in range(3) for each in listed("ann", f"r{n}", "a", at=n * MINUTE)),
        *listed("ann", "r9", "a", at=DAY),
    ]
    found = showings(tmp_path, rows, first=START + DAY)
    assert found.ignored.tolist() == [3]


def test_a_visit_ends_with_its_last_page(tmp_path: Path) -> None:
    rows = [
        *listed("ann", "r1", "a"),
        *listed("ann", "r2", "b", at=MINUTE),
        *listed("ann", "r3", "c", at=MINUTE + SECOND // 2),  # of the same page
        *listed("bob", "r4", "d"),
        act("bob", "purchase", "z", 0),
    ]
    found = showings(tmp_path, rows)
    assert by_item(found, "is_exit") == {"a": False, "b": True, "c": True, "d": False}
    assert found.is_over.all()
    assert len(set(found.visit.tolist())) == 2


def test_visits_that_may_go_on_are_told(tmp_path: Path) -> None:
    layout = store_of(tmp_path, [*listed("ann", "r1", "a"), *listed("bob", "r2", "a", at=GAP)])
    found = read_showings(layout, Period(START, START + GAP + 1), GAP)
    assert found.is_over.tolist() == [True, False]


def test_an_answer_is_found_by_its_id_and_names_the_placement(tmp_path: Path) -> None:
    rows = [
        *listed("ann", "r1", "a", place="front page"),
        *listed("ann", "gone", "b", at=MINUTE, place=None),
        *listed("ann", None, "c", at=2 * MINUTE, place="cart"),
        *listed("ann", None, "d", at=3 * MINUTE, place="the shop's own"),
    ]
    record = decision("r1", [item("a", acceptance=0.25)])
    found = showings(tmp_path, rows, (record, decision("never shown", [])))
    assert by_item(found, "answer") == {"a": 0, "b": -1, "c": -1}
    assert [found.placements[number] for number in found.placement] == ["home", UNNAMED, "cart"]
    (answer,) = found.answers
    assert (answer.stage, answer.mode, answer.promised) == ("loyal", "browsing", {"a": 0.25})
    assert answer.arm == "top · 01234567"


def test_the_personal_share_counts_what_is_not_everybodys() -> None:
    items = [item("a"), item("b", source="popularity"), item("c", source="returns"), item("d")]
    assert personal_share(decision("r", items)) == 0.75
    assert personal_share(decision("r", items, served_level="similar")) == 0
    assert personal_share(decision("r", [])) == 0
    plain = answer_of(decision("r", items, attributes_used={}))
    assert (plain.stage, plain.is_changed_measured) == (NOT_KNOWN, False)


def test_a_log_without_lists_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no list of ours was shown"):
        showings(tmp_path, [act("ann", "view_item", "a", 0)])
