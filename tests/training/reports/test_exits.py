from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.reports.shop import many, resampling, walks
from training.reports.exits import exits_of, losses_by_stop, stages_of


def test_rates_of_each_touchpoint_against_the_mean(tmp_path: Path) -> None:
    log = [*many("a", 40, "search item:a"), *many("b", 60, "search"), *many("c", 3, "cart buy")]
    found = {each.touchpoint: each for each in exits_of(walks(tmp_path, log), resampling(103))}
    search, item, cart = (found[name] for name in ("search", "item page", "into cart"))
    assert (search.stops, search.left, item.stops, item.left) == (100, 60, 40, 40)
    assert search.rate is not None
    assert search.rate.mean == pytest.approx(0.6)
    assert search.against_mean is not None
    assert search.against_mean.mean == pytest.approx(0.6 / (100 / 143))
    assert search.against_mean.low < search.against_mean.mean < search.against_mean.high
    assert (cart.stops, cart.left, cart.rate) == (3, 0, None)


def test_stops_say_what_became_of_visits(tmp_path: Path) -> None:
    log = [*many("a", 30, "search item:a"), *many("b", 20, "search"), *many("c", 3, "search buy")]
    first, second = losses_by_stop(walks(tmp_path, log), resampling(53))
    assert (first.visits, first.left, first.bought, first.worst) == (53, 20, 3, "search")
    assert (second.visits, second.left, second.bought, second.worst) == (30, 30, 0, "item page")


def test_stages_that_the_log_does_not_know_are_left_out(tmp_path: Path) -> None:
    log = [*many("a", 30, "item:a"), *many("b", 10, "item:a cart:a"), *many("c", 5, "cart:a buy:a")]
    stages = stages_of(walks(tmp_path, log), resampling(45))
    assert [(each.stage, each.visits) for each in stages] == [
        ("visited", 45),
        ("saw an item", 40),
        ("put something into the cart", 15),
        ("bought", 5),
    ]
