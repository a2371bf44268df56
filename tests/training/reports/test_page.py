"""The page and its JSON, from a log that is hostile wherever a log can be."""

from __future__ import annotations

import json
import random
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recommender.errors import DataError, InvalidInputError
from tests.training.reports.shop import BEGIN, DAY, SPEC, START, Row, many, store_of, visit
from training.engine import Period
from training.reports.journeys import JourneysReport, find_period, report_journeys
from training.reports.page import render_page

EVIL = "<script>alert(1)</script>"
MATHS = "$\\frac{"


def hostile() -> list[Row]:
    log = [
        *many("a", 30, "search:lost list:a@home click:a@home cart:a buy:a"),
        *many("b", 60, "search:found item:b search:found"),
    ]
    for number, visits in ((0, 40), (1, 40)):
        log += many(f"c{number}-", visits, "item:dead search:odd list:c@odd click:c@odd")
    for each in log:
        if each["item_id"] == "dead":
            each["item_id"] = f"{EVIL}'\"&"
            each["title"] = "<img src=x onerror=alert(1)>"
            each["category"] = "</table>/tea"
        if each["placement"] == "odd":
            each["placement"] = f"{EVIL}{MATHS} 物"
        if each.get("search_term") == "odd":
            each["search_term"] = EVIL
    return log


def report_of(folder: Path, log: list[Row]) -> JourneysReport:
    layout = store_of(folder, log)
    return report_journeys(layout, find_period(layout, None, None, None), SPEC)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> JourneysReport:
    return report_of(tmp_path_factory.mktemp("shop"), hostile())


@pytest.fixture(scope="module")
def page(report: JourneysReport) -> str:
    return render_page(report.figures)


class Reader(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_log_cannot_put_anything_into_the_page(page: str) -> None:
    reader = Reader(page)
    assert reader.all("script") == []
    assert "&lt;script&gt;alert(1)" in page
    assert len(reader.all("img")) == 3
    assert not [
        name for _, attributes in reader.found for name in attributes if name.startswith("on")
    ]


def test_nothing_comes_from_elsewhere(page: str) -> None:
    reader = Reader(page)
    assert all(
        (each["src"] or "").startswith("data:image/svg+xml;base64,") for each in reader.all("img")
    )
    assert all((each["href"] or "").startswith("#") for each in reader.all("a"))
    assert reader.all("link") == []
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(" not in page


def test_the_page_can_be_heard(page: str) -> None:
    reader = Reader(page)
    assert all(len(each["alt"] or "") > 30 for each in reader.all("img"))
    assert {each.get("scope") for each in reader.all("th")} == {"col", "row"}
    assert len(reader.all("caption")) == len(reader.all("table")) > 8
    assert reader.all("html")[0]["lang"] == "en"
    targets = {each["id"] for each in reader.all("section")}
    assert {f"#{each}" for each in targets} == {each["href"] for each in reader.all("a")}


def test_the_page_has_the_figures_of_the_json(report: JourneysReport, page: str) -> None:
    figures = json.loads(report.to_json())
    assert figures == report.figures
    assert f"{100 * figures['conversion']['mean']:.1f} %" in page
    for each in figures["critical"]:
        low, high = (f"{100 * each['removal'][end]:.1f}" for end in ("low", "high"))
        assert f"{100 * each['removal']['mean']:.1f} % [{low}, {high}]" in page
    for number in figures["counts"].values():
        assert f">{number:,}<" in page


def test_the_same_log_gives_the_same_bytes(
    report: JourneysReport, page: str, tmp_path: Path
) -> None:
    log = hostile()
    random.Random(7).shuffle(log)
    again = report_of(tmp_path, log)
    assert again.to_json() == report.to_json()
    assert render_page(again.figures) == page


def test_association_is_said_to_be_no_cause_and_no_hold_out_is_made_up(page: str) -> None:
    assert "association, not cause" in page
    assert "names no experiment arm" in page


def test_terms_of_few_shoppers_are_neither_on_the_page_nor_in_the_json(tmp_path: Path) -> None:
    log = [*many("a", 30, "search:lamp item:a"), *many("b", 4, "search:jane_doe")]
    found = report_of(tmp_path, log)
    assert b"jane" not in found.to_json()
    assert "jane" not in render_page(found.figures)


@pytest.mark.parametrize("acts", ["item:a", "search", "buy:a", "list:a@home", "item:a buy:a"])
def test_the_poorest_logs_have_a_page(acts: str, tmp_path: Path) -> None:
    page = render_page(report_of(tmp_path, visit("v", acts)).figures)
    assert "too few to speak of shares" in page


def test_a_period_is_cut_out_of_the_log(tmp_path: Path) -> None:
    log = [each for n in range(4) for each in visit(f"v{n}", "item:a", START + n * DAY)]
    layout = store_of(tmp_path, log)
    last = START + 3 * DAY + 1
    assert find_period(layout, None, None, None) == Period(START, last)
    assert find_period(layout, None, None, 2) == Period(last - 2 * DAY, last)
    assert find_period(layout, BEGIN.replace(day=2, hour=0), None, None).end == last
    assert report_journeys(layout, Period(START + DAY, last), SPEC).counts["visits"] == 3
    with pytest.raises(InvalidInputError, match="give one of them"):
        find_period(layout, BEGIN, None, 2)
    with pytest.raises(InvalidInputError, match="the log has events from 2026-03-01"):
        find_period(layout, BEGIN.replace(year=2030), None, None)


def test_a_period_in_which_no_visit_begins_is_refused(tmp_path: Path) -> None:
    layout = store_of(tmp_path, visit("v", "item:a item:b"))
    with pytest.raises(DataError, match="no visit begins"):
        report_journeys(layout, Period(START + 1, START + DAY), SPEC)
