"""A breaker opens after failures in a row, closes with the first success, and paces its probes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.online.breaker import Breaker, BreakerOptions


def breaker(turns: list[bool] | None = None, **options: float) -> Breaker:
    told = [] if turns is None else turns
    return Breaker("redis", lambda: 0.0, BreakerOptions(**options), told.append)  # type: ignore[arg-type]


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
def test_it_is_open_from_the_last_of_so_many_failures_until_a_success(
    outcomes: list[bool], failures: int
) -> None:
    turns: list[bool] = []
    one = breaker(turns, failures=failures)
    in_a_row = 0
    for is_success in outcomes:
        if is_success:
            one.succeeded()
        else:
            one.failed("late")
        in_a_row = 0 if is_success else in_a_row + 1
        assert one.is_open == (in_a_row >= failures)
        assert one.is_doubtful == (0 < in_a_row < failures)
    assert turns == [number % 2 == 0 for number in range(len(turns))], "told once per turn"
    assert one.is_open == (turns[-1:] == [True])


def test_probes_come_more_and_more_rarely_and_not_all_at_once() -> None:
    one = breaker(failures=3, probe_seconds=0.25, most_seconds=1.0)
    rng = np.random.default_rng(1)
    longest = []
    for _ in range(8):
        pauses = [one.pause(rng) for _ in range(200)]
        assert max(pauses) / min(pauses) > 1.8
        longest.append(max(pauses))
        one.failed("late")
    expected = [0.25, 0.25, 0.25, 0.25, 0.5, 1.0, 1.0, 1.0]
    assert longest == pytest.approx(expected, rel=0.03)
    one.succeeded()
    assert one.pause(rng) <= 0.25
