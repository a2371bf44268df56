from __future__ import annotations

from pathlib import Path

import pytest

from recommender.terms import ADD_TO_CART, PURCHASE
from tests.factories import DAY, HOUR, MINUTE, START, Did, write_log
from training.engine import Period
from training.engines.local import LocalEngine
from training.questions import Question, Questioner
from training.spec import parse_spec

ENGINE = LocalEngine()
CUT = START + 20 * DAY
PERIOD = Period(CUT, CUT + 5 * DAY)
BEFORE = Did("ann", "old", START)


def ask(root: Path, done: list[Did], asked: str = "in_visit", **ranker: object) -> list[Question]:
    spec = parse_spec({"split": {"asked": asked}, "ranker": {"purchase_decay": 0.5} | ranker})
    window = ENGINE.ingest_window(write_log(root / "store", done), spec, None, root)
    return Questioner(ENGINE, window, spec, root).questions(PERIOD)


WAY = [
    BEFORE,
    Did("ann", "a", CUT),
    Did("ann", "b", CUT + MINUTE),
    Did("ann", "a", CUT + 2 * MINUTE, ADD_TO_CART),
    Did("ann", "a", CUT + 3 * MINUTE, PURCHASE),
    Did("ann", "b", CUT + 3 * MINUTE, PURCHASE),
]


def test_what_is_bought_is_worth_less_the_further_it_lies_ahead_and_nothing_once_it_was_met(
    tmp_path: Path,
) -> None:
    before_a, before_b, before_cart, before_purchase = ask(tmp_path, WAY)
    assert before_a.purchase == {"a": 0.125, "b": 0.125}
    assert before_b.purchase == {"b": 0.25}
    assert not before_cart.purchase
    assert not before_purchase.purchase
    assert before_cart.next_step["a"] == 1


def test_what_was_met_may_keep_a_share_of_its_worth(tmp_path: Path) -> None:
    found = ask(tmp_path, WAY, met_worth=0.5)
    assert [each.purchase for each in found] == [
        {"a": 0.125, "b": 0.125},
        {"a": 0.125, "b": 0.25},
        {"a": 0.25, "b": 0.25},
        {"a": 0.5, "b": 0.5},
    ]


@pytest.mark.parametrize(
    "earlier",
    [
        [Did("ann", "a", CUT - 8 * DAY)],
        [Did("ann", "a", CUT - 3 * HOUR), Did("ann", "c", CUT - 2 * HOUR, PURCHASE)],
        [Did("bob", "a", CUT - HOUR)],
    ],
    ids=["too long ago", "before the last purchase", "somebody else"],
)
def test_what_was_met_on_another_way_does_not_count(tmp_path: Path, earlier: list[Did]) -> None:
    bought = Did("ann", "a", CUT + MINUTE, PURCHASE)
    (question,) = ask(tmp_path, [BEFORE, *earlier, bought])
    assert question.purchase == {"a": 1}


def test_at_the_cut_what_was_met_before_it_counts_as_met(tmp_path: Path) -> None:
    bought = [Did("ann", item, CUT + MINUTE, PURCHASE) for item in "ac"]
    (question,) = ask(tmp_path, [BEFORE, Did("ann", "a", CUT - HOUR), *bought], asked="at_cut")
    assert question.purchase == {"c": 1}
    assert question.next_step == {"a": 1, "c": 1}


def test_ways_to_a_purchase_are_asked_beside_a_sample_of_all_moments(tmp_path: Path) -> None:
    idle = [Did(f"s{n:02d}", item, CUT - n * HOUR) for n in range(1, 31) for item in "xy"]
    looks = [Did(f"s{n:02d}", "z", CUT + n * MINUTE) for n in range(1, 31)]
    found = ask(tmp_path, [*idle, *looks, *WAY], max_questions=10)
    assert sum(bool(each.next_step) for each in found) == 10
    assert [each.purchase for each in found if each.purchase] == [
        {"a": 0.125, "b": 0.125},
        {"b": 0.25},
    ]
