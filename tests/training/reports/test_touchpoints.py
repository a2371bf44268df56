from __future__ import annotations

from pathlib import Path

from tests.training.reports.shop import START, labels, many, rows_of, visit, walks
from training.reports.touchpoints import MOST, OTHER, acts_of


def test_a_click_and_the_page_that_it_opens_are_one(tmp_path: Path) -> None:
    found = walks(tmp_path, visit("v", "list:a@home click:a@home +item:a item:b"))
    assert labels(found) == ["list: home", "item via list: home", "item page"]


def test_lists_that_a_page_shows_of_itself_belong_to_the_page(tmp_path: Path) -> None:
    found = walks(tmp_path, visit("v", "item:a +list:b@similar +list:c@seen list:d@plp"))
    assert labels(found) == ["item page", "list: plp"]


def test_a_page_of_lists_has_the_name_of_the_first_that_has_one(tmp_path: Path) -> None:
    found = walks(tmp_path, visit("v", "list:a +list:b@category"))
    assert labels(found) == ["list: category"]


def test_a_list_long_after_the_page_is_an_act_of_its_own(tmp_path: Path) -> None:
    found = walks(tmp_path, visit("v", "item:a list:b@plp"))
    assert labels(found) == ["item page", "list: plp"]


def test_only_what_stands_somewhere_has_a_placement(tmp_path: Path) -> None:
    found = walks(tmp_path, visit("v", "item:a@plp cart:a@plp"))
    assert labels(found) == ["item page: plp", "into cart"]


def test_rare_placements_are_taken_together(tmp_path: Path) -> None:
    log = many("often", 3, "list:a@home item:a")
    log += [
        each
        for n in range(60)
        for each in visit(f"v{n}", f"list:a@place-{n:02d} item:a@place-{n:02d}", START)
    ]
    found = rows_of(tmp_path, log)
    acts = acts_of(found)
    assert len(acts.touchpoints) <= MOST
    assert {each.label for each in acts.touchpoints} >= {
        "list: home",
        "item page",
        f"list: {OTHER}",
        f"item page: {OTHER}",
    }
    assert len(acts.touch) == len(log)


def test_a_log_of_purchases_has_no_touchpoint(tmp_path: Path) -> None:
    found = walks(tmp_path, many("v", 3, "buy"))
    assert found.touchpoints == ()
    assert found.is_bought.all()
    assert found.stops.tolist() == [0, 0, 0]
