from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.reports.shop import DAY, START, journeys, many, resampling, visit, walks
from training.reports.detours import lengths_of, loops_of, pogo_of
from training.reports.journey_rows import MAY_BE_LONGER, NO_STEP


def test_a_journey_read_aloud(tmp_path: Path) -> None:
    # Steps: x, a (first sight), y, a again, a into the cart.
    _, found = journeys(tmp_path, visit("v", "item:x item:a item:y item:a cart:a buy:a"))
    lengths = lengths_of(found, resampling(1))
    assert lengths is not None
    assert lengths.steps.mean == 5
    assert lengths.first_sight.mean == 1
    assert lengths.sight_to_purchase.mean == 4
    assert lengths.detour.mean == 1  # y
    assert lengths.returns.mean == pytest.approx(1 / 5)
    assert (lengths.visits.mean, lengths.in_one_visit.mean) == (1, 1)


def test_journeys_reach_over_visits_and_end_with_the_purchase_before(tmp_path: Path) -> None:
    log = [
        *visit("v", "item:a"),
        *visit("v", "item:a buy:a", START + DAY),
        *visit("v", "item:b buy:b", START + 2 * DAY),
        *visit("w", "buy:c", START + 2 * DAY),
    ]
    _, found = journeys(tmp_path, log)
    assert found.steps.tolist() == [2, 1]
    assert found.visits.tolist() == [2, 1]
    assert found.counts[NO_STEP] == 1
    assert found.counts[MAY_BE_LONGER] == 2


def test_without_journeys_there_is_nothing_to_say(tmp_path: Path) -> None:
    _, found = journeys(tmp_path, visit("v", "search list:a@plp"))
    assert lengths_of(found, resampling(1)) is None


def test_ways_back_to_a_list(tmp_path: Path) -> None:
    log = [
        *many("a", 20, "list:a@plp click:a@plp list:a@plp item:b buy:b"),
        *many("b", 20, "list:a@plp item:a search"),
    ]
    bought, left = loops_of(walks(tmp_path, log), resampling(40))
    assert bought.again is not None
    assert left.again is not None
    assert (bought.again.mean, left.again.mean) == (0.25, 0)
    (pogo,) = pogo_of(walks(tmp_path / "again", log), resampling(40))
    assert (pogo.touchpoint, pogo.to_item, pogo.back, pogo.visits) == ("list: plp", 60, 20, 20)
    assert pogo.conversion is not None
    assert pogo.conversion_without is not None
    assert (pogo.conversion.mean, pogo.conversion_without.mean) == (1, 0)
