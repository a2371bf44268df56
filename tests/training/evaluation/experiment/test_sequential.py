from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training.evaluation.experiment.sequential import half_width, tuned_rho

ALPHA = 0.05


@given(st.floats(0.01, 0.2), st.integers(10, 10**7))
def test_it_is_wider_than_the_interval_of_one_look(alpha: float, subjects: int) -> None:
    one_look = stats.norm.isf(alpha / 2)
    assert half_width(1.0, subjects, tuned_rho(10_000, alpha), alpha) > one_look


def test_the_formula_by_hand() -> None:
    t, rho = 400.0, 0.05
    scaled = t * rho**2
    by_hand = math.sqrt(2 * (scaled + 1) / (t**2 * rho**2) * math.log(math.sqrt(scaled + 1) / 0.1))
    assert half_width(3.0 / math.sqrt(t), t, rho, 0.1) == pytest.approx(3.0 * by_hand)


def test_it_is_narrowest_about_where_it_is_tuned_to() -> None:
    rhos = np.geomspace(1e-4, 1, 400)
    widths = [float(half_width(1.0, 5_000, rho, ALPHA)) for rho in rhos]
    best = rhos[int(np.argmin(widths))]
    # Their rho is an approximation of the best one; it costs less than a hundredth of the width.
    assert float(half_width(1.0, 5_000, tuned_rho(5_000, ALPHA), ALPHA)) < 1.01 * min(widths)
    assert tuned_rho(5_000, ALPHA) == pytest.approx(best, rel=0.1)


@pytest.mark.parametrize(("subjects", "alpha"), [(0, 0.05), (10, 0.0), (10, 1.0)])
def test_what_cannot_be_tuned_to_is_refused(subjects: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="accepted"):
        tuned_rho(subjects, alpha)
