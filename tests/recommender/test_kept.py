from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recommender.kept import Kept


@given(st.lists(st.integers(0, 20)), st.integers(1, 8))
def test_there_are_never_more_than_allowed_and_the_newest_stay(keys: list[int], most: int) -> None:
    kept: Kept[int, int] = Kept(most)
    for number, key in enumerate(keys):
        if key not in kept:
            kept.keep(key, number)
        assert len(kept) <= most
        assert key in kept
    newest = list(dict.fromkeys(reversed(keys)))[:1]
    assert all(key in kept for key in newest)
