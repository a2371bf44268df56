"""Rankers of random trees over the features of a bundle, for tests that need just any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from recommender.bundle import ModelBundle, bundle_of, save_bundle
from recommender.bundle_manifest import BundleInfo, BundleManifest, RankerInfo
from recommender.course import KINDS
from recommender.ranker import feature_maker
from tests.bundles import SESSION_SOURCES, shop_arrays, shop_info, shop_visits, visit_arrays
from tests.forests import random_forest

STATS = ("common", "late", "carted")
HEADS = ("next_step", "purchase")


def with_ranker(
    arrays: Mapping[str, np.ndarray],
    info: BundleInfo,
    heads: tuple[str, ...] = HEADS,
    candidates: int = 50,
    seed: int = 0,
) -> tuple[dict[str, np.ndarray], BundleInfo]:
    """Arrays and description with random trees for each head added."""
    rng = np.random.default_rng(seed)
    items = len(arrays["popularity"])
    stats = rng.uniform(0, 3, (items, len(STATS))).astype(np.float32)
    arrays = {**arrays, "item_stats": stats, **random_courses(rng)}
    names = feature_names(arrays, info)
    for head in heads:
        arrays |= random_forest(rng, [8] * 20, len(names), head)
    return arrays, replace(info, ranker=RankerInfo(names, STATS, candidates, dict(info.blend)))


def random_courses(rng: np.random.Generator, nodes: int = 60) -> dict[str, np.ndarray]:
    """A tree of contexts of random shares; each node but the root has a parent before it."""
    child = np.full((nodes, KINDS + 1), -1, np.int32)
    for node in range(1, nodes):
        free = np.argwhere(child[:node] < 0)
        parent, kind = free[rng.integers(min(len(free), 30))]
        child[parent, kind] = node
    share = rng.dirichlet(np.ones(KINDS), nodes).astype(np.float32)
    return {"course_child": child, "course_share": share}


def feature_names(arrays: Mapping[str, np.ndarray], info: BundleInfo) -> tuple[str, ...]:
    """Columns that a bundle of these arrays computes."""
    bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
    return feature_maker(arrays, bundle.catalogue, bundle.sources, STATS).names


def ranked_parts(
    n: int = 20, heads: tuple[str, ...] = HEADS, candidates: int = 50, seed: int = 0
) -> tuple[dict[str, np.ndarray], BundleInfo]:
    """Arrays and description of the shop with a ranker and all sources."""
    arrays = shop_arrays(n) | visit_arrays(shop_visits(n), n)
    info = shop_info()
    info = replace(info, sources={**info.sources, **SESSION_SOURCES})
    blend = {**info.blend, "session_knn": 0.3, "session_knn_near": 0.2, "two_steps": 0.2}
    return with_ranker(arrays, replace(info, blend=blend), heads, candidates, seed)


def ranked_bundle(
    n: int = 20, heads: tuple[str, ...] = HEADS, candidates: int = 50, seed: int = 0
) -> ModelBundle:
    """The shop's bundle in memory, with a ranker."""
    arrays, info = ranked_parts(n, heads, candidates, seed)
    return bundle_of(arrays, BundleManifest.describe(info, {}))


def saved_ranked_bundle(folder: Path, n: int = 20, seed: int = 0) -> BundleManifest:
    """The same on disk."""
    return save_bundle(folder, *ranked_parts(n, seed=seed))
