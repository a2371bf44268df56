from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.bootstrap import Bootstrap
from training.reports.resampling import LEAST, MOST_BLOCKS, Resampling
from training.sections import EvaluationSpec

SPEC = EvaluationSpec()


def test_blocks_give_the_width_that_shoppers_give() -> None:
    shoppers = 4 * MOST_BLOCKS
    rng = np.random.default_rng(5)
    values = rng.random(shoppers) < 0.3
    found = Resampling.of(shoppers, SPEC).mean(np.arange(shoppers), values)
    assert found is not None
    one_by_one = Bootstrap.draw(shoppers, 1_000, 0.95, 1).interval(values.astype(np.float64))
    assert found.mean == one_by_one.mean
    assert found.high - found.low == pytest.approx(one_by_one.high - one_by_one.low, rel=0.12)


def test_blocks_are_of_equal_size_and_seeded() -> None:
    one, other = (Resampling.of(2 * MOST_BLOCKS, SPEC) for _ in range(2))
    assert (np.bincount(one.block) == 2).all()
    np.testing.assert_array_equal(one.block, other.block)


def test_too_few_have_no_share() -> None:
    found = Resampling.of(2 * LEAST, SPEC)
    some = np.arange(2 * LEAST)
    assert found.mean(some[: LEAST - 1], some[: LEAST - 1]) is None
    assert found.mean(some[:LEAST], some[:LEAST]) is not None
    assert found.difference(some, some, some < LEAST - 1) is None
    assert found.against_mean(some, np.zeros(len(some)), some < LEAST) is None


def test_a_difference_and_a_ratio_as_numbers() -> None:
    shopper = np.arange(100)
    values = np.where(shopper < 50, 0.6, 0.2)
    found = Resampling.of(100, SPEC)
    difference = found.difference(shopper, values, shopper < 50)
    ratio = found.against_mean(shopper, values, shopper < 50)
    assert difference is not None
    assert ratio is not None
    assert difference.mean == pytest.approx(0.4)
    assert difference.low == pytest.approx(0.4)  # within each group all are alike
    assert ratio.mean == pytest.approx(1.5)
