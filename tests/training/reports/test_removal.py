from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.reports.shop import many, resampling, walks
from training.reports.removal import critical_touchpoints, removal_effects

A, B, C, BOUGHT, LEFT = range(5)
START = 3


def chain(*paths: tuple[int, ...]) -> np.ndarray:
    """Moves of paths over three touchpoints, each ending in `BOUGHT` or `LEFT`."""
    counts = np.zeros((1, 4, 5))
    for path in paths:
        for origin, target in zip((START, *path[:-1]), path, strict=True):
            counts[0, origin, target] += 1
    return counts


def test_a_chain_worked_out_by_hand() -> None:
    # Three visits: a b c bought; a left; b c left. The chance to buy is 1/3; without a it is 1/6.
    counts = chain((A, B, C, BOUGHT), (A, LEFT), (B, C, LEFT))
    assert removal_effects(counts)[0].tolist() == pytest.approx([0.5, 1.0, 1.0])


def test_a_loop_is_left_in_the_end() -> None:
    # From a one visit goes to b and back: P(a→b) = 1/3, P(a→bought) = 1/3.
    counts = chain((A, B, A, BOUGHT), (A, LEFT))
    assert removal_effects(counts)[0, B] == pytest.approx(1 - (1 / 3) / (1 / 2))


@given(
    st.lists(st.tuples(st.lists(st.sampled_from([A, B, C]), max_size=6), st.booleans()), min_size=1)
)
def test_effects_are_shares_and_nothing_hangs_on_where_nobody_was(
    visits: list[tuple[list[int], bool]],
) -> None:
    paths = [(*path, BOUGHT if bought else LEFT) for path, bought in visits]
    effects = removal_effects(chain(*paths, (A, BOUGHT)))[0]
    assert ((effects > -1e-9) & (effects < 1 + 1e-9)).all()
    for touch in (B, C):
        if not any(touch in path for path in paths):
            assert effects[touch] == pytest.approx(0)


def test_effect_and_difference_of_a_log(tmp_path: Path) -> None:
    log = [
        *many("a", 60, "search item:a"),
        *many("b", 30, "search item:a buy:a"),
        *many("c", 10, "item:a buy:a"),
    ]
    found = {
        each.touchpoint: each
        for each in critical_touchpoints(walks(tmp_path, log), resampling(100))
    }
    search, item = found["search"], found["item page"]
    assert item.is_gate
    assert item.removal.mean == pytest.approx(1)
    assert item.difference is None  # nobody did without it
    assert not search.is_gate
    assert search.removal.mean == pytest.approx(0.9)
    assert search.removal.low < 0.9 < search.removal.high
    assert search.of_purchases == pytest.approx(0.75)
    assert search.difference is None  # only ten visits did without


def test_difference_has_an_interval(tmp_path: Path) -> None:
    log = [*many("a", 50, "search"), *many("b", 50, "search buy"), *many("c", 50, "item")]
    found = critical_touchpoints(walks(tmp_path, log), resampling(150))
    difference = next(each.difference for each in found if each.touchpoint == "search")
    assert difference is not None
    assert difference.mean == pytest.approx(0.5)
    assert 0.3 < difference.low < 0.5 < difference.high < 0.7


def test_without_purchases_nothing_is_attributed(tmp_path: Path) -> None:
    assert critical_touchpoints(walks(tmp_path, many("a", 3, "search")), resampling(3)) == ()
