"""What the sources propose, blended: against plain Python, number by number."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.ranking import blend
from recommender.slate import ScoredItems

ITEMS = 30
SCORES = st.sampled_from([0.25, 0.5, 1.0, 2.0]) | st.floats(2**-20, 4, width=32)
SOURCE = st.dictionaries(st.integers(0, ITEMS - 1), SCORES, max_size=12)
SOURCES = st.dictionaries(st.sampled_from(["als", "content", "returns", "trend"]), SOURCE)
WEIGHTS = st.dictionaries(
    st.sampled_from(["als", "content", "returns", "trend"]), st.sampled_from([0.0, 0.1, 0.3, 1.0])
)


def proposed(said: dict[str, dict[int, float]]) -> dict[str, ScoredItems]:
    found = {}
    for name, scores in said.items():
        best = sorted(scores.items(), key=lambda row: (-np.float32(row[1]), row[0]))
        items, worth = [row[0] for row in best], [row[1] for row in best]
        found[name] = ScoredItems(np.array(items, np.int32), np.array(worth, np.float32))
    return found


def by_hand(
    said: dict[str, dict[int, float]], weights: dict[str, float], *, of_all: bool
) -> list[tuple[int, np.float32, str]]:
    """Item, sum and strongest source, best first."""
    heard = [name for name in said if said[name] and (of_all or weights.get(name))]
    sums: dict[int, np.float32] = {}
    strongest: dict[int, tuple[np.float32, str]] = {}
    for name in heard:
        best = np.float32(max(map(np.float32, said[name].values())))
        for item, score in said[name].items():
            part = np.float32(score) / best * np.float32(weights.get(name, 0.0))
            sums[item] = sums.get(item, np.float32(0)) + part
            if part > strongest.get(item, (np.float32(0), ""))[0]:
                strongest[item] = part, name
    order = sorted(sums, key=lambda item: (-sums[item], item))
    return [(item, sums[item], strongest.get(item, (0, heard[0]))[1]) for item in order]


@given(SOURCES, WEIGHTS, st.none() | st.integers(1, 40), st.booleans())
def test_it_is_the_head_of_the_sums(
    said: dict[str, dict[int, float]], weights: dict[str, float], most: int | None, of_all: bool
) -> None:
    blended = blend(proposed(said), weights, most, of_all=of_all)
    expected = by_hand(said, weights, of_all=of_all)
    ranking = blended.ranking("similar")
    origins = ranking.listed_origins()
    sources = [origin.source for origin in origins]
    found = zip(ranking.item_idx.tolist(), ranking.scores, sources, strict=True)
    assert list(found) == expected[:most]
    assert blended.pool == len(expected)
    assert {origin.level for origin in origins} <= {"similar"}


@given(SOURCES, WEIGHTS, st.integers(1, 40))
def test_shares_are_relative_to_the_best_of_the_source(
    said: dict[str, dict[int, float]], weights: dict[str, float], most: int
) -> None:
    blended = blend(proposed(said), weights, most, of_all=True)
    if not len(blended):
        return
    scores, shares = blended.shares()
    for row, name in enumerate(said):
        best = np.float32(max(map(np.float32, said[name].values()), default=1))
        own = [np.float32(said[name].get(item, 0.0)) for item in blended.item_idx.tolist()]
        assert scores[row].tolist() == own
        assert shares[row].tolist() == [each / best for each in own]
    weighted = shares * np.array([[weights.get(name, 0.0)] for name in said], np.float32)
    assert blended.parts(weights).tolist() == weighted.tolist()


@given(st.lists(st.sampled_from([0.1, 0.2, 0.5]), min_size=5, max_size=5))
def test_new_scores_give_a_new_order(scores: list[float]) -> None:
    said = {"als": {item: 5.0 - item for item in range(5)}}
    blended = blend(proposed(said), {"als": 1.0})
    found = blended.reordered(np.array(scores, np.float32))
    assert found.item_idx.tolist() == sorted(range(5), key=lambda item: -scores[item])
    assert found.scores.tolist() == np.sort(np.array(scores, np.float32))[::-1].tolist()
