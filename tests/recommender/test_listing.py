from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.listing import NO_LISTING, Listing
from recommender.ranking import Origin, Ranking


def ranking(n: int, first: int = 0) -> Ranking:
    return Ranking(
        np.arange(first, first + n, dtype=np.int32),
        np.linspace(1, 0.1, n, dtype=np.float32),
        np.arange(n)[::-1],
        tuple(Origin(f"source-{first + row}", f"level-{row}") for row in range(n)),
    )


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 10))
def test_it_does_as_rankings_do(n: int, below: int, most: int) -> None:
    whole, other = ranking(n), ranking(below, 100)
    assert Listing.of(whole, most) == Listing.of(whole).first(most)
    assert Listing.of(whole).joined(Listing.of(other)) == Listing.of(whole.joined(other))
    rows = list(range(n))[::-2]
    assert Listing.of(whole).take(rows) == Listing.of(whole.take(rows))
    assert len(Listing.of(whole, most)) == min(n, most)
    assert Listing.of(whole).joined(NO_LISTING) == Listing.of(whole)


def test_no_score_is_above_the_one_before_it() -> None:
    listing = Listing([1, 2, 3], [0.5, 0.7, 0.2], [Origin("a", "b")] * 3)
    assert listing.falling().scores == [0.5, 0.5, 0.2]
