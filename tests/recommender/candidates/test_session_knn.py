from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.bundle_manifest import SourceInfo
from recommender.candidates.build import build_source
from recommender.candidates.session_knn import SessionKnnSource
from recommender.errors import BundleError
from recommender.scratch import scratch
from recommender.seeds import NO_SEEDS, Seeds
from tests.bundles import NEAREST, shop_bundle, visit_arrays
from tests.recommender.test_seeds import way

ITEMS = 8
CATALOGUE = shop_bundle().catalogue
Visits = list[list[int]]


def source_of(visits: Visits, items: int = ITEMS, **params: float) -> SessionKnnSource:
    info = SourceInfo(params=NEAREST | params)
    found = build_source("session_knn", info, visit_arrays(visits, items), CATALOGUE)
    assert isinstance(found, SessionKnnSource)
    return found


def ask(source: SessionKnnSource, seeds: Seeds, items: int = ITEMS) -> dict[int, float]:
    found = source.candidates(seeds, np.ones(items, np.bool_), items)
    return dict(zip(found.item_idx.tolist(), found.scores.tolist(), strict=True))


def by_hand(visits: Visits, seeds: Seeds, params: dict[str, float]) -> dict[int, float]:
    """The formulas of the module, visit by visit."""
    met = dict(zip(*(each.tolist() for each in seeds.distinct(20)), strict=True))
    holders = {i: [s for s, visit in enumerate(visits) if i in visit] for i in met}
    looked_at = {i: holders[i][-int(params["sample"]) :] for i in met}
    similarity: dict[int, float] = {}
    nearest_lag: dict[int, tuple[int, int]] = {}
    for item, lag in met.items():  # newest first
        idf = math.log(1 + len(visits) / max(len(holders[item]), 1))
        for s in reversed(looked_at[item]):
            if s not in similarity:
                similarity[s], nearest_lag[s] = 0.0, (item, lag)
            similarity[s] += idf * math.exp(-lag / params["seed_reach"])
    for s in similarity:
        similarity[s] /= math.sqrt(len(visits[s]))
    nearest = sorted(similarity, key=lambda s: -np.float32(similarity[s]))[: int(params["k"])]
    scores: dict[int, float] = {}
    for s in nearest:
        item, lag = nearest_lag[s]
        shared = max(place for place, other in enumerate(visits[s]) if other == item)
        for place, other in enumerate(visits[s]):
            if place == shared:
                continue
            weight = similarity[s] * math.exp(-lag / params["seed_reach"])
            weight *= math.exp(-(abs(place - shared) - 1) / params["item_reach"])
            weight *= 1 if place > shared else params["backward"]
            scores[other] = scores.get(other, 0) + weight
    return scores


all_visits = st.lists(
    st.lists(st.integers(0, ITEMS - 1), min_size=2, max_size=5), min_size=1, max_size=12
)
all_ways = st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=6).map(
    lambda items: way(*((item, float(len(items) - n)) for n, item in enumerate(items)))
)


@settings(deadline=None, max_examples=50)
@given(all_visits, all_ways, st.integers(1, 5), st.floats(0.3, 5), st.floats(0.3, 9))
def test_scores_are_those_of_the_formulas(
    visits: Visits, seeds: Seeds, sample: int, seed_reach: float, item_reach: float
) -> None:
    """With every touched visit near enough: which of two equals is nearer is no property."""
    given_params = {"k": 100, "sample": sample, "seed_reach": seed_reach, "item_reach": item_reach}
    found = ask(source_of(visits, **given_params), seeds)
    expected = by_hand(visits, seeds, NEAREST | given_params)
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_what_followed_the_newest_item_leads() -> None:
    visits = [[0, 1, 2], [0, 1, 2], [3, 1, 4], [5, 6]]
    found = ask(source_of(visits), way((0, 20.0), (1, 10.0)))
    assert next(iter(found)) == 2
    assert found[2] > found[4] > 0
    assert 5 not in found
    assert 6 not in found


def test_only_the_nearest_visits_speak() -> None:
    visits = [[0, 1, 2], [1, 3]]
    wide = ask(source_of(visits, k=2), way((0, 20.0), (1, 10.0)))
    near = ask(source_of(visits, k=1), way((0, 20.0), (1, 10.0)))
    assert set(wide) == {0, 2, 3}
    assert set(near) == {0, 2}


def test_of_an_item_s_visits_only_the_latest_are_looked_at() -> None:
    visits = [[0, 1], [0, 2], [0, 3]]
    assert set(ask(source_of(visits, sample=2), way((0, 1.0)))) == {2, 3}


@pytest.mark.parametrize(
    ("visits", "seeds"),
    [
        ([[0, 1]], NO_SEEDS),
        ([[0, 1]], way((7, 1.0))),
        ([], way((0, 1.0))),
        ([[0, 0]], way((1, 1.0))),
    ],
    ids=["no seeds", "never in a visit", "no visits", "another item"],
)
def test_nothing_is_proposed_where_nothing_is_known(visits: Visits, seeds: Seeds) -> None:
    assert ask(source_of(visits), seeds) == {}


def test_reaches_so_short_that_weights_underflow_still_find_the_item_once() -> None:
    found = ask(source_of([[0, 1, 2, 1, 3]], item_reach=1e-3, seed_reach=1e-3), way((0, 1.0)))
    assert set(found) == {1, 2, 3}


@settings(deadline=None, max_examples=50)
@given(all_visits, all_ways)
def test_the_arrays_to_work_in_are_left_as_they_were_found(visits: Visits, seeds: Seeds) -> None:
    ask(source_of(visits, k=2), seeds)
    assert not scratch("visits_2", 2 * len(visits), np.float32).any()
    assert not scratch("item_score", ITEMS, np.float32).any()


def test_several_threads_at_once_find_what_one_finds() -> None:
    rng = np.random.default_rng(5)
    items = 200
    visits = [rng.integers(0, items, 5).tolist() for _ in range(4_000)]
    source = source_of(visits, items, k=100, sample=200)
    asked = [
        way(*((int(i), 9.0 - n) for n, i in enumerate(rng.integers(0, items, 6))))
        for _ in range(200)
    ]
    alone = [ask(source, seeds, items) for seeds in asked]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seeds: ask(source, seeds, items), asked))
    assert together == alone


@pytest.mark.parametrize("part", ["k", "sample", "seed_reach", "item_reach", "backward"])
def test_parameters_that_are_not_above_zero_are_refused(part: str) -> None:
    with pytest.raises(BundleError, match=rf"session_knn.*{part}=0"):
        source_of([[0, 1]], **{part: 0.0})
