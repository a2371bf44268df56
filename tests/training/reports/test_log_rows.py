from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from recommender.errors import DataError
from tests.training.reports.shop import DAY, GAP, MINUTE, START, rows_of, visit
from training.engine import Period

ACTS = "search:red_tea list:a@plp click:a@plp +item:a@plp cart:a buy:a"


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    log = [each for n in range(6) for each in visit(f"v{n % 3}", ACTS, START + n * DAY // 7)]
    shuffled = log.copy()
    random.Random(1).shuffle(shuffled)
    one, other = (rows_of(tmp_path / name, rows) for name, rows in (("a", log), ("b", shuffled)))
    for name in ("shopper", "ts", "event_code", "item", "placement", "term", "visit"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.names == other.names


def test_rows_are_counted_in_kept_and_left_out(tmp_path: Path) -> None:
    log = [*visit("v", "identify item buy"), *visit("v", "refund", START + DAY)]
    found = rows_of(tmp_path, log)
    assert found.counts == {
        "rows read": 4,
        "kept": 2,
        "before the period, for journeys": 0,
        "left out: refund": 1,
        "left out: identify": 1,
    }


def test_a_silence_ends_a_visit_and_another_shopper_begins_one(tmp_path: Path) -> None:
    log = [
        *visit("v", "item item"),
        *visit("v", "item", START + GAP + 2 * MINUTE),
        *visit("w", "item"),
    ]
    assert rows_of(tmp_path, log).visit.tolist() == [0, 0, 1, 2]


def test_search_terms_are_told_by_their_words(tmp_path: Path) -> None:
    log = [*visit("v", "search:Red_Tea search:red__tea search:_red_tea_"), *visit("w", "item")]
    found = rows_of(tmp_path, log)
    assert found.names["term"] == ("red tea",)


def test_what_came_before_the_period_is_there_for_journeys(tmp_path: Path) -> None:
    log = [*visit("v", "item"), *visit("v", "item buy", START + 2 * DAY)]
    found = rows_of(tmp_path, log, Period(START + DAY, START + 3 * DAY))
    assert found.counts["before the period, for journeys"] == 1
    assert len(found) == 3


def test_an_empty_period_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds nothing from"):
        rows_of(tmp_path, visit("v", "item"), Period(START + DAY, START + 2 * DAY))
