"""Sources that search an index give the lists of those that scan, to the last bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.bundle_manifest import SourceInfo
from recommender.candidates import build
from recommender.candidates.als import AlsSource
from recommender.candidates.encoder import EncoderSource
from recommender.candidates.source import CandidateSource
from recommender.exact_search import ExactIndex
from recommender.seeds import PART_CODES, Seeds
from recommender.terms import EVENT_CODES, VIEW_ITEM
from tests.bundles import shop_bundle

ITEMS = 700
Arrays = dict[str, np.ndarray]


def als_arrays(rng: np.random.Generator) -> Arrays:
    factors = rng.normal(size=(ITEMS, 12)).astype(np.float32)
    factors[rng.random(ITEMS) < 0.1] = 0
    factors[: ITEMS // 3] = factors[ITEMS // 3]  # many of the same score
    inverse = np.linalg.inv(factors.T @ factors + np.eye(12)).astype(np.float32)
    return {"item_factors": factors, "factor_inverse": inverse}


def encoder_arrays(rng: np.random.Generator) -> Arrays:
    """Few directions, each a little off: cosines that the score can hardly tell apart."""
    centres = rng.normal(size=(9, 12))
    vectors = centres[rng.integers(9, size=ITEMS)] + 1e-7 * rng.normal(size=(ITEMS, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths = rng.uniform(0.5, 2, ITEMS) * (rng.random(ITEMS) > 0.1)
    vectors[lengths == 0] = 0
    return {
        "encoder_vectors": vectors.astype(np.float32),
        "encoder_lengths": lengths.astype(np.float32),
        "encoder_lag_weights": np.array([1, 0.5, 0.25, 0.1], np.float32),
    }


MAKERS: dict[str, tuple[Callable[[np.random.Generator], Arrays], list[dict[str, float]]]] = {
    "als": (als_arrays, [{"alpha": 1.0}, {"alpha": 40.0}]),
    "encoder": (encoder_arrays, [{"temperature": t} for t in (0.002, 0.08, 1.0, 30.0)]),
}


def pair_of(name: str, params: dict[str, float], seed: int) -> tuple[CandidateSource, ...]:
    """The source over random arrays, scanning and searching."""
    arrays = MAKERS[name][0](np.random.default_rng(seed))
    catalogue = shop_bundle().catalogue
    made = []
    for threshold in (1 << 40, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "SEARCHED_BYTES", threshold)
            made.append(build.build_source(name, SourceInfo(params=params), arrays, catalogue))
    assert [each.index is None for each in made] == [True, False]
    return tuple(made)


def way(items: list[int]) -> Seeds:
    n = len(items)
    return Seeds(
        np.array(items, np.int32),
        np.full(n, EVENT_CODES[VIEW_ITEM], np.int32),
        np.linspace(1, 2, n, dtype=np.float32),
        np.arange(n, 0, -1, dtype=np.float32),
        np.full(n, PART_CODES["session"], np.int32),
    )


@pytest.mark.parametrize("name", sorted(MAKERS))
@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    seed=st.integers(0, 40),
    items=st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=8),
    open_share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    n=st.sampled_from([1, 5, 20, 200, 1_000]),
)
def test_an_index_changes_no_list(
    name: str, data: st.DataObject, seed: int, items: list[int], open_share: float, n: int
) -> None:
    params = data.draw(st.sampled_from(MAKERS[name][1]))
    scanning, searching = pair_of(name, params, seed)
    eligible = np.random.default_rng(seed).random(ITEMS) < open_share
    expected = scanning.candidates(way(items), eligible, n)
    found = searching.candidates(way(items), eligible, n)
    assert found.item_idx.tolist() == expected.item_idx.tolist()
    assert found.scores.tolist() == expected.scores.tolist()


def test_cosines_that_score_the_same_go_by_index() -> None:
    """So large a temperature that all scores are nearly 1, and codes that lose nothing."""
    rng = np.random.default_rng(3)
    vectors = np.stack([np.full(ITEMS, 127.0), rng.permutation(ITEMS) % 127], axis=1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lags, lengths = np.ones(1, np.float32), np.ones(ITEMS, np.float32)
    parts = (vectors.astype(np.float32), lengths, lags, 1e5)
    scanning = EncoderSource(*parts)
    searching = EncoderSource(*parts, ExactIndex.of(parts[0]))
    everything = np.ones(ITEMS, np.bool_)
    expected = scanning.candidates(way([5]), everything, 5)
    best_cosines = np.argsort(-(parts[0] @ parts[0][5]), kind="stable")[:5]
    assert expected.item_idx.tolist() != best_cosines.tolist()
    found = searching.candidates(way([5]), everything, 5)
    assert found.item_idx.tolist() == expected.item_idx.tolist()


def test_only_large_vectors_are_searched() -> None:
    rng = np.random.default_rng(0)
    for rows, is_searched in ((build.SEARCHED_BYTES // 256 - 1, False), (40_000, True)):
        factors = rng.normal(size=(rows, 64)).astype(np.float32)
        arrays = {"item_factors": factors, "factor_inverse": np.eye(64, dtype=np.float32)}
        info = SourceInfo(params={"alpha": 1.0})
        source = build.build_source("als", info, arrays, shop_bundle().catalogue)
        assert isinstance(source, AlsSource)
        assert (source.index is not None) == is_searched


def test_items_of_no_length_are_no_members() -> None:
    _, searching = pair_of("encoder", {"temperature": 0.08}, 0)
    assert isinstance(searching, EncoderSource)
    assert searching.index is not None
    assert sorted(searching.index.members.tolist()) == np.flatnonzero(searching.lengths).tolist()
