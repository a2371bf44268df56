from __future__ import annotations

import itertools
import os

from hypothesis import given
from hypothesis import strategies as st

from serving.random_block import BLOCK_BYTES, RandomBlock


@given(st.lists(st.integers(1, BLOCK_BYTES // 8).map((8).__mul__), max_size=30))
def test_each_byte_is_handed_out_once(counts: list[int]) -> None:
    blocks = itertools.count(1)
    take = RandomBlock(
        lambda count: b"".join(next(blocks).to_bytes(8, "big") for _ in range(count // 8))
    )
    parts = [take(count) for count in counts]
    assert [len(part) for part in parts] == counts
    whole = [part[at : at + 8] for part in parts for at in range(0, len(part) - 7, 8)]
    assert len(whole) == len(set(whole))


def test_a_child_says_nothing_that_its_parent_says() -> None:
    take = RandomBlock(os.urandom)
    take(8)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, take(8))
        os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 8)
    os.close(reading)
    os.close(writing)
    assert told != take(8)
