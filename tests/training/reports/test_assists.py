from __future__ import annotations

from pathlib import Path

from tests.training.reports.shop import MINUTE, START, Row, journeys, many, resampling, visit
from training.reports.assists import Assists, PlacementAssists, assists_of


def assisted(folder: Path, log: list[Row]) -> Assists | None:
    rows, found = journeys(folder, log)
    return assists_of(rows, found, resampling(len(rows.names["shopper_id"])))


def placement(found: Assists | None, name: str) -> PlacementAssists:
    assert found is not None
    return next(each for each in found.placements if each.placement == name)


def test_the_last_click_and_the_one_before_it(tmp_path: Path) -> None:
    found = assisted(
        tmp_path,
        visit("v", "list:a@home click:a@home list:a@plp click:a@plp list:a@seen cart:a buy:a"),
    )
    home, plp, seen = (placement(found, name) for name in ("home", "plp", "seen"))
    assert (home.seen, home.clicked, home.last, home.assisted) == (1, 1, 0, 1)
    assert (plp.seen, plp.clicked, plp.last, plp.assisted) == (1, 1, 1, 0)
    assert (seen.seen, seen.clicked, seen.seen_only) == (1, 0, 0)


def test_only_what_was_bought_and_before_the_purchase_counts(tmp_path: Path) -> None:
    log = [
        *visit("v", "list:b@home click:b@home item:a buy:a list:a@home click:a@home"),
        *visit("w", "list:a@home item:x"),
    ]
    found = assisted(tmp_path, log)
    assert found is not None
    assert (found.items, found.clicked, found.seen_only, found.placements) == (1, 0, 0, ())


def test_steps_past_it_are_those_between_showing_and_first_sight(tmp_path: Path) -> None:
    log = many("v", 20, "list:a@home item:x item:y click:a@plp buy:a")
    passed = placement(assisted(tmp_path, log), "home").passed
    assert passed is not None
    assert passed.mean == 2  # shown before any step, looked at after two
    assert placement(assisted(tmp_path / "again", log), "home").seen_only == 0


def test_a_list_before_the_first_step_counts(tmp_path: Path) -> None:
    found = placement(assisted(tmp_path, visit("v", "list:a@home click:a@home buy:a")), "home")
    assert (found.seen, found.clicked) == (1, 1)


def test_a_list_before_the_purchase_before_does_not_count(tmp_path: Path) -> None:
    log = [
        *visit("v", "list:a@home item:b buy:b"),
        *visit("v", "item:a buy:a", START + 10 * MINUTE),
    ]
    found = assisted(tmp_path, log)
    assert found is not None
    assert (found.items, found.seen_only) == (2, 0)


def test_where_rows_name_answers_only_those_count(tmp_path: Path) -> None:
    log = visit("v", "list:a@plp click:a@plp list:a@home click:a@home buy:a")
    for each in log:
        if each["placement"] == "home":
            each["recommendation_id"] = "r-1"
    found = assisted(tmp_path, log)
    assert found is not None
    assert found.by_answers
    assert [each.placement for each in found.placements] == ["home"]


def test_steps_with_and_without_a_click(tmp_path: Path) -> None:
    log = [
        *many("a", 25, "list:a@home click:a@home buy:a"),
        *many("b", 25, "list:b@home item:x item:a buy:a"),
    ]
    found = assisted(tmp_path, log)
    assert found is not None
    assert (found.journeys_with_click, found.journeys_without_click) == (25, 25)
    assert found.difference is not None
    assert found.difference.mean == -1


def test_a_log_without_lists_has_no_such_part(tmp_path: Path) -> None:
    assert assisted(tmp_path, visit("v", "item:a buy:a")) is None
