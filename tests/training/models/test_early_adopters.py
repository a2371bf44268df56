from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.terms import PURCHASE, VIEW_ITEM
from tests.training.known import known
from training.models.early_adopters import (
    adopter_scores,
    early_adopters_picks,
    find_adoptions,
    score_adoptions,
)
from training.models.popularity import MICROS_PER_DAY
from training.sections import EarlyAdoptersSpec

SPEC = EarlyAdoptersSpec(
    window_days=10, min_adoptions=3, prior=1, share=0.1, half_life_days=10, sigmas=0
)
UNTIL = 100 * MICROS_PER_DAY


def fashion() -> list[tuple[int, int, str, float]]:
    """Shopper 0 buys each of five items first, twenty others follow in the days after."""
    rows = [(0, item, PURCHASE, 10.0 * item) for item in range(5)]
    return rows + [
        (1 + (item + n) % 25, item, PURCHASE, 10.0 * item + 1 + n / 4)
        for item in range(5)
        for n in range(20)
    ]


def test_what_the_early_one_picked_lately_is_proposed() -> None:
    lately = [(0, 5, PURCHASE, 98.0)] + [(n, 6, PURCHASE, 98.0) for n in range(1, 26)]
    found = early_adopters_picks(known(fashion() + lately, 7), SPEC)
    assert found.items.tolist()[0] == 5
    assert 6 not in found.items


def test_nothing_after_the_cut_is_looked_at() -> None:
    """A pick at the end of the window is not judged by who will follow: there is nobody yet."""
    rows = known(fashion(), 5, until=41)
    adoptions = find_adoptions(rows)
    judged = ~np.isnan(score_adoptions(adoptions, rows.until, 10))
    assert (adoptions.ts[judged] + 10 * MICROS_PER_DAY <= rows.until).all()
    assert not judged[adoptions.item_idx == 4].any()


def test_an_item_does_not_speak_for_itself() -> None:
    """Leave one out: without that item the shopper's score has one adoption less."""
    earliness = np.array([1.0, 0.5, 0.0])
    found = adopter_scores(np.zeros(3, np.int32), earliness, SPEC)
    assert found.tolist() == [0.5 / 3, 1.0 / 3, 1.5 / 3]


def test_too_few_adoptions_make_nobody_early() -> None:
    assert not adopter_scores(np.array([0, 0, 1], np.int32), np.ones(3), SPEC).any()
    assert not len(early_adopters_picks(known([], 3), SPEC).items)
    assert not len(early_adopters_picks(known([(0, 0, VIEW_ITEM, 1.0)], 3), SPEC).items)


events = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 3), st.just(PURCHASE), st.integers(0, 99).map(float)
    ),
    min_size=1,
    max_size=30,
)


@given(events)
def test_earliness_is_its_definition(rows: list[tuple[int, int, str, float]]) -> None:
    adoptions = find_adoptions(known(rows, 4))
    first: dict[tuple[int, int], int] = {}
    for shopper, item, _, day in sorted(rows, key=lambda row: row[3]):
        first.setdefault((shopper, item), round(day * MICROS_PER_DAY))
    assert {
        (s, i): t
        for s, i, t in zip(
            adoptions.shopper_idx.tolist(),
            adoptions.item_idx.tolist(),
            adoptions.ts.tolist(),
            strict=True,
        )
    } == first
    window = 10 * MICROS_PER_DAY
    for (shopper, item), at, found in zip(
        zip(adoptions.shopper_idx.tolist(), adoptions.item_idx.tolist(), strict=True),
        adoptions.ts.tolist(),
        score_adoptions(adoptions, UNTIL, 10).tolist(),
        strict=True,
    ):
        others = [t for (s, i), t in first.items() if i == item and s != shopper]
        before = sum(at - window <= t < at for t in others)
        after = sum(at < t <= at + window for t in others)
        expected = (after - before) / (after + before + 1)
        assert np.isnan(found) if at + window > UNTIL else found == expected
