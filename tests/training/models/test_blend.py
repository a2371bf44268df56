from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender import metrics
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.terms import PURCHASE, VIEW_ITEM
from tests.bundles import AT, AT_MICROS, MINUTE, shop_arrays, shop_info
from training.evaluation.offline import with_blend
from training.fitting import Fitted
from training.models.blend import ScoredCandidates, learn_weights, score_candidates

NEXT = Placement("next", exclude=("dismissed",), candidates=20)


def candidates_of(parts: np.ndarray, right: np.ndarray, targets: int = 1) -> ScoredCandidates:
    names = tuple(f"source-{row}" for row in range(len(parts)))
    return ScoredCandidates(
        names, parts.astype(np.float32), right, np.full(right.shape[0], targets, np.int64)
    )


def test_the_only_source_that_knows_is_found_and_the_noise_is_turned_down() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((60, 50)) < 0.02
    right[:, 0] = True
    parts = rng.random((3, 60, 50))
    parts[1] = 0.3 * right
    found = candidates_of(parts, right)
    equal = dict.fromkeys(found.sources, 1.0)
    learnt = learn_weights(found, equal, restarts=3, seed=0)
    alone = found.ndcg(found.parts[1])
    assert found.ndcg(found.scores(np.ones(3))) < alone / 2
    weights = np.array([learnt[name] for name in found.sources])
    assert found.ndcg(found.scores(weights)) == pytest.approx(alone)
    assert learnt["source-1"] == 1


@settings(max_examples=20)
@given(seed=st.integers(0, 1_000))
def test_the_blend_is_never_worse_than_any_start_or_single_source(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = rng.random((4, 30, 40)) * (rng.random((4, 30, 40)) < 0.5)
    found = candidates_of(parts, rng.random((30, 40)) < 0.1, 8)
    fallback = dict.fromkeys(found.sources, 1.0)
    weights = learn_weights(found, fallback, restarts=6, seed=1)
    assert weights == learn_weights(found, fallback, restarts=6, seed=1)
    assert max(weights.values()) == 1
    value = found.ndcg(found.scores(np.array([weights[name] for name in found.sources])))
    # Rounding to four decimals may swap a pair of near-equal items.
    assert value >= found.ndcg(found.scores(np.ones(4))) - 1e-3


def test_a_source_that_proposed_nothing_is_not_weighed() -> None:
    rng = np.random.default_rng(3)
    parts = rng.random((3, 30, 40))
    parts[1] = 0
    found = candidates_of(parts, rng.random((30, 40)) < 0.1, 8)
    learnt = learn_weights(found, {"source-1": 0.7}, restarts=6, seed=1)
    assert learnt.keys() == {"source-0", "source-2"}


def test_ndcg_is_that_of_the_formula() -> None:
    parts = np.array([[[0.9, 0.8, 0.7]]])
    right = np.array([[False, True, True]])
    ideal = 1 + 1 / math.log2(3)
    found = candidates_of(parts, right, 2)
    gained = 1 / math.log2(3) + 1 / math.log2(4)
    assert found.ndcg(found.scores(np.ones(1))) == pytest.approx(gained / ideal)


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 60)),
    k=st.sampled_from([1, 3, 20, 200]),
    levels=st.sampled_from([2, 5, 1_000_000]),
    seed=st.integers(0, 2**32 - 1),
)
def test_ndcg_is_that_of_sorting_everything(
    shape: tuple[int, int], k: int, levels: int, seed: int
) -> None:
    """Few levels: many ties, between right and wrong ones too."""
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, levels, shape) / levels).astype(np.float32)
    right = rng.random(shape) < 0.2
    targets = np.maximum(right.sum(axis=1), 1)
    found = ScoredCandidates(("one",), scores[None], right, targets)
    width = min(k, shape[1])
    best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    hits = np.take_along_axis(right, np.take_along_axis(best, order, axis=1), axis=1)
    discount = 1 / np.log2(np.arange(k) + 2)
    ideal = np.cumsum(discount)[np.minimum(targets, k) - 1]
    assert found.ndcg(scores, k) == float((hits @ discount[:width] / ideal).mean())


def test_without_queries_the_weights_stay_as_they_are() -> None:
    bundle = Fitted(shop_arrays(), shop_info()).bundle()
    stranger = Query(at=AT, placement="next", limit=20)
    none = score_candidates(bundle, NEXT, [stranger], [frozenset({"item-00"})])
    assert none.targets.shape == (0,)
    learnt = learn_weights(none, {"als": 0.5, "returns": 0.25}, restarts=2, seed=0)
    assert learnt["als"] == 0.5
    assert learnt["item_knn"] == 0


def test_cached_scores_rank_as_the_pipeline_does() -> None:
    """What the search looks at is what the service would answer."""
    bundle = Fitted(shop_arrays(), shop_info()).bundle()
    history = tuple(
        Interaction(f"item-{i:02d}", PURCHASE if i % 3 else VIEW_ITEM, AT_MICROS - i * MINUTE)
        for i in (8, 6, 3)
    )
    query = Query(at=AT, placement="next", limit=20, history=history)
    wanted = frozenset({"item-02", "item-05", "item-09"})
    found = score_candidates(bundle, NEXT, [query], [wanted])
    rng = np.random.default_rng(0)
    for _ in range(5):
        weights = dict(zip(found.sources, rng.random(len(found.sources)).tolist(), strict=True))
        slate = recommend(query, with_blend(bundle, weights), NEXT, TopPolicy())
        shown = [item.item_id for item in slate.items]
        cached = found.ndcg(found.scores(np.array(list(weights.values()))))
        assert cached == pytest.approx(metrics.ndcg(shown, wanted, 20), abs=1e-6)
