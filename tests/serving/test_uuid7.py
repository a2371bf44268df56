from __future__ import annotations

import os
import uuid

from hypothesis import given
from hypothesis import strategies as st

from serving.uuid7 import COUNTER_LIMIT, Uuid7Source

MOMENT = 1_700_000_000_123_456


def millis_of(made: str) -> int:
    return uuid.UUID(made).int >> 80


def test_it_is_a_version_7_uuid_that_carries_its_time() -> None:
    made = Uuid7Source(lambda: MOMENT, os.urandom)()
    parsed = uuid.UUID(made)
    assert str(parsed) == made
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert millis_of(made) == MOMENT // 1000


def test_the_example_of_the_standard() -> None:
    """RFC 9562, appendix A.6: 0x17F22E279B0 ms, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F."""
    source = Uuid7Source(lambda: 0x17F22E279B0 * 1000, (0x18C4DC0C0C07398F).to_bytes)
    source._millis, source._counter = 0x17F22E279B0, 0xCC2
    assert source() == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.lists(st.integers(0, 10_000_000), min_size=2, max_size=30))
def test_ids_rise_whatever_the_clock_does(steps: list[int]) -> None:
    times = iter(steps)
    source = Uuid7Source(lambda: next(times), os.urandom)
    made = [source() for _ in steps]
    assert made == sorted(set(made))


def test_more_ids_than_a_millisecond_holds_still_rise() -> None:
    source = Uuid7Source(lambda: MOMENT, os.urandom)
    made = [source() for _ in range(COUNTER_LIMIT + 10)]
    assert made == sorted(set(made))
    assert millis_of(made[-1]) == MOMENT // 1000 + 1
