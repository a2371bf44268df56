from __future__ import annotations

import numpy as np
import pytest

from training.models.popularity import MICROS_PER_DAY, decay, popularity


def test_an_interaction_counts_half_after_each_half_life() -> None:
    ages = np.array([0, 7, 14, 21], np.int64) * MICROS_PER_DAY
    at = 100 * MICROS_PER_DAY
    assert decay(at - ages, at, 7.0).tolist() == [1, 1 / 2, 1 / 4, 1 / 8]


def test_nothing_counts_more_than_now() -> None:
    assert decay(np.array([5], np.int64), 0, 1.0).tolist() == [1]


def test_weights_are_summed_by_item() -> None:
    found = popularity(np.array([2, 0, 2], np.int32), np.array([1.0, 0.5, 0.25]), 4)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([0.5, 0, 1.25, 0])
