"""All sources of a bundle together: what each of them proposes by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.candidates.neighbours import LISTS_AT_ONCE, NeighbourSource
from recommender.candidates.panel import Panel
from recommender.patience import Patience
from recommender.seeds import Seeds
from tests.bundles import shop_bundle
from tests.recommender.candidates.test_sources import masks, seeds, some_seeds

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


CHOOSING = {
    name: replace(source, is_of_pool=True) if name in ("als", "encoder") else source
    for name, source in BUNDLE.sources.items()
}


@given(given_seeds=some_seeds.filter(len), eligible=masks, n=st.integers(1, 30))
def test_sources_may_choose_from_what_the_others_propose(
    given_seeds: Seeds, eligible: np.ndarray, n: int
) -> None:
    found = Panel.of(CHOOSING).propose(given_seeds, eligible, n)
    others = [name for name in CHOOSING if name not in ("als", "encoder")]
    pool = {item for name in others for item in found[name].item_idx.tolist()}
    for name, source in BUNDLE.sources.items():
        everything = source.candidates(given_seeds, eligible, len(eligible))
        expected = [
            (item, score)
            for item, score in zip(everything.item_idx.tolist(), everything.scores, strict=True)
            if name in others or len(pool) < n or item in pool
        ][:n]
        assert found[name].item_idx.tolist() == [item for item, _ in expected]
        assert found[name].scores == pytest.approx([score for _, score in expected], rel=1e-5)


def test_a_source_that_is_asked_alone_has_the_whole_catalogue_to_choose_from() -> None:
    eligible = np.ones(len(BUNDLE.catalogue), np.bool_)
    given_seeds = seeds([0, 1])
    (found,) = Panel.of({"als": CHOOSING["als"]}).propose(given_seeds, eligible, 5).values()
    expected = BUNDLE.sources["als"].candidates(given_seeds, eligible, 5)
    assert found.item_idx.tolist() == expected.item_idx.tolist()
    assert len(found)
