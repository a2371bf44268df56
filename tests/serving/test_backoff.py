from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.backoff import FIRST_SECONDS, MOST_SECONDS, YOUNG_SECONDS, Backoff


def test_short_lives_double_the_wait_and_a_long_one_ends_it() -> None:
    backoff = Backoff()
    assert [backoff.delay(0.1) for _ in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert backoff.delay(YOUNG_SECONDS) == 0
    assert backoff.delay(0.1) == FIRST_SECONDS


@given(st.lists(st.floats(0, 10), max_size=50))
def test_no_wait_is_longer_than_the_longest_and_only_short_lives_wait(lives: list[float]) -> None:
    backoff = Backoff()
    for lived in lives:
        delay = backoff.delay(lived)
        assert (delay == 0) == (lived >= YOUNG_SECONDS)
        assert delay <= MOST_SECONDS


def test_waits_grow_up_to_the_longest() -> None:
    backoff = Backoff()
    waits = [backoff.delay(0) for _ in range(2_000)]
    assert waits == sorted(waits)
    assert waits[-1] == MOST_SECONDS
