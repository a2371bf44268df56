"""All sources of a bundle together: what each of them proposes by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.neighbours import LISTS_AT_ONCE, NeighbourSource
from recommender.candidates.panel import Panel
from recommender.patience import Patience
from recommender.seeds import Seeds
from tests.bundles import shop_bundle
from tests.recommender.candidates.test_sources import masks, some_seeds

BUNDLE = shop_bundle()
PANEL = Panel.of(BUNDLE.sources)


@given(given_seeds=some_seeds, eligible=masks, n=st.integers(1, 30))
def test_it_is_what_each_source_proposes_alone(
    given_seeds: Seeds, eligible: np.ndarray, n: int
) -> None:
    found = PANEL.propose(given_seeds, eligible, n)
    assert list(found) == list(BUNDLE.sources)
    for name, source in BUNDLE.sources.items():
        expected = source.candidates(given_seeds, eligible, n)
        assert found[name].item_idx.tolist() == expected.item_idx.tolist()
        assert found[name].scores.tobytes() == expected.scores.tobytes()
        row, count = list(found).index(name), len(expected)
        assert found.counts[row] == count
        assert not count or found.scores[row, 0] == expected.scores[0]


@given(given_seeds=some_seeds.filter(len), asked=st.integers(0, len(BUNDLE.sources)))
def test_sources_that_come_too_late_are_left_out(given_seeds: Seeds, asked: int) -> None:
    turns = iter(range(1_000))
    patience = Patience(lambda: next(turns) >= asked)
    eligible = np.ones(len(BUNDLE.catalogue), np.bool_)
    found = PANEL.propose(given_seeds, eligible, 5, patience)
    assert list(found) == list(BUNDLE.sources)[:asked]
    everything = PANEL.propose(given_seeds, eligible, 5)
    assert found.counts.tolist() == everything.counts[:asked].tolist()
    assert patience.skipped == list(BUNDLE.sources)[asked : asked + 1]


def test_more_lists_than_one_call_takes() -> None:
    rng = np.random.default_rng(0)
    sources = {
        f"list-{number}": NeighbourSource(
            rng.integers(-1, 9, (9, 3)).astype(np.int32), rng.random((9, 3)).astype(np.float32)
        )
        for number in range(LISTS_AT_ONCE + 3)
    }
    one = np.ones(2, np.int32)
    seeds = Seeds(np.array([2, 5], np.int32), one, *(one.astype(np.float32),) * 2, one)
    eligible = np.ones(9, np.bool_)
    found = Panel.of(sources).propose(seeds, eligible, 4)
    for name, source in sources.items():
        expected = source.candidates(seeds, eligible, 4)
        assert found[name].item_idx.tolist() == expected.item_idx.tolist()
    with pytest.raises(KeyError):
        found["list-99"]
