from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.training.reports.shop import many, resampling, walks
from training.reports.openings import BOUGHT, LEFT, LENGTH, flow_of, openings_of
from training.reports.walks import Walks


@pytest.fixture
def shop(tmp_path: Path) -> Walks:
    return walks(
        tmp_path,
        [
            *many("leaver", 30, "search item:a"),
            *many("buyer", 10, "search item:a cart:a buy:a"),
            *many("bouncer", 5, "item:a"),
        ],
    )


def test_paths_are_counted_within_their_outcome(shop: Walks) -> None:
    left = openings_of(shop, resampling(45), bought=False)
    assert [(each.stops, each.visits) for each in left] == [
        (("search", "item page"), 30),
        (("item page",), 5),
    ]
    assert left[0].share == pytest.approx(30 / 35)
    assert left[0].steps == 1
    bought = openings_of(shop, resampling(45), bought=True)
    assert [(each.stops, each.visits) for each in bought] == [
        (("search", "item page", "into cart"), 10)
    ]


def test_conversion_is_that_of_all_visits_that_began_so(shop: Walks) -> None:
    path = openings_of(shop, resampling(45), bought=False)[0]
    assert (path.began, path.began_bought) == (40, 10)
    assert path.conversion is not None
    assert path.conversion.mean == pytest.approx(0.25)
    assert path.conversion.low < 0.25 < path.conversion.high


def test_long_paths_are_cut_and_say_so(tmp_path: Path) -> None:
    found = walks(tmp_path, many("v", 2, "search item search item search item search"))
    path = openings_of(found, resampling(2), bought=False)[0]
    assert len(path.stops) == LENGTH
    assert path.goes_on
    assert path.conversion is None


def test_a_purchase_without_a_stop_is_a_path_of_its_own(tmp_path: Path) -> None:
    found = walks(tmp_path, [*many("v", 2, "buy"), *many("w", 3, "item")])
    path = openings_of(found, resampling(5), bought=True)[0]
    assert (path.stops, path.began) == ((), 2)


def test_the_flow_loses_nobody(shop: Walks) -> None:
    flow = flow_of(shop)
    at, moves = np.array(flow.at), np.array(flow.moves)
    assert (at.sum(axis=1) == len(shop)).all()
    np.testing.assert_array_equal(moves.sum(axis=2), at[:-1])
    np.testing.assert_array_equal(moves.sum(axis=1), at[1:])
    assert at[-1][flow.states.index(BOUGHT)] == 10
    assert at[-1][flow.states.index(LEFT)] == 35
    assert moves[0][flow.states.index("search"), flow.states.index("item page")] == 40
