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
