from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.listing import Listing
from recommender.reordered import Reordered
from tests.recommender.test_listing import ranking


@given(st.integers(1, 12), st.integers(0, 14), st.integers(0, 2**32 - 1))
def test_orders_are_carried_out_in_their_turn(n: int, most: int, seed: int) -> None:
    rng, whole = np.random.default_rng(seed), ranking(n)
    assert Listing.of(Reordered.of(whole).first(most)) == Listing.of(whole, most)
    one = rng.permutation(n)[: rng.integers(1, n + 1)]
    other = rng.permutation(len(one))
    moved = Reordered.of(whole).take(one).take(other)
    assert len(moved) == len(one)
    assert Listing.of(moved.first(most)) == Listing.of(whole.take(one).take(other), most)
