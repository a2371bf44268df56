from __future__ import annotations

from pathlib import Path

from recommender.journey import LOOKBACK_MICROS
from tests.training.reports.shop import (
    DAY,
    GAP,
    MINUTE,
    START,
    labels,
    rows_of,
    store_of,
    visit,
    walks,
)
from training.engine import Period
from training.reports.log_rows import read_rows
from training.reports.touchpoints import acts_of
from training.reports.walks import AFTER, MAY_GO_ON, UNDER_WAY, walks_of


def test_repeats_are_one_stop_and_the_purchase_ends_the_walk(tmp_path: Path) -> None:
    found = walks(tmp_path, visit("v", "item:a item:b cart:b buy:b item:c"))
    assert labels(found) == ["item page", "into cart"]
    assert found.act_number.tolist() == [0, 1, 2]
    assert found.is_bought.tolist() == [True]
    assert found.steps.tolist() == [3]
    assert found.counts[AFTER] == 1


def test_exits_are_the_last_acts_of_visits_that_did_not_buy(tmp_path: Path) -> None:
    log = [*visit("v", "search item:a item:b"), *visit("w", "item:a buy:a")]
    found = walks(tmp_path, log)
    assert found.act_is_exit.tolist() == [False, False, True, False]
    assert found.stop_is_exit.tolist() == [False, True, False]


def test_visits_under_way_at_the_beginning_are_left_out(tmp_path: Path) -> None:
    log = [*visit("v", "item:a item:b"), *visit("w", "item:a", START + MINUTE)]
    period = Period(START + MINUTE, START + DAY)
    rows = read_rows(store_of(tmp_path, log), period, LOOKBACK_MICROS, GAP)
    found = walks_of(rows, acts_of(rows), period, GAP)
    assert found.counts["visits"] == 1
    assert found.counts[UNDER_WAY] == 1


def test_visits_that_may_go_on_are_counted(tmp_path: Path) -> None:
    log = [*visit("v", "item:a"), *visit("w", "item:a", START + GAP + MINUTE)]
    rows = rows_of(tmp_path, log)
    period = Period(START, START + GAP + MINUTE + 1)
    assert walks_of(rows, acts_of(rows), period, GAP).counts[MAY_GO_ON] == 1
