"""A small known-answer bundle: two departments whose right recommendations are obvious."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from recommender.bundle import ModelBundle, bundle_of, save_bundle
from recommender.bundle_manifest import BundleInfo, BundleManifest, SourceInfo
from recommender.catalogue import CatalogueItem, catalogue_arrays
from recommender.ids import StringArray
from recommender.query import Interaction
from recommender.terms import ADD_TO_CART, PURCHASE, VIEW_ITEM

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT_MICROS = int(AT.timestamp()) * 1_000_000
MINUTE = 60_000_000

BLEND = {"als": 0.4, "item_knn": 0.3, "purchase_purchase": 0.2, "returns": 0.3, "popularity": 0.05}
EVENT_WEIGHTS = {VIEW_ITEM: 1.0, ADD_TO_CART: 3.0, PURCHASE: 5.0}


def shop_items(n: int = 20) -> list[CatalogueItem]:
    """n items; even ones for the garden, odd ones for the kitchen; the last one is sold out."""
    return [
        CatalogueItem(
            item_id=f"item-{i:02d}",
            title=f"Thing {i}",
            category=f"garden/{'tools' if i % 4 == 0 else 'seeds'}" if i % 2 == 0 else "kitchen",
            brand="acme" if i < n // 2 else "zenith",
            price=1.0 + i if i else None,
            is_available=i != n - 1,
        )
        for i in range(n)
    ]


def shop_arrays(n: int = 20, factors: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays in which items of one department are close to each other and to nothing else."""
    rng = np.random.default_rng(seed)
    department = np.arange(n) % 2
    y = rng.uniform(0.01, 0.1, (n, factors)).astype(np.float32)
    y[np.arange(n), department] += 1
    same = [[j for j in range(n) if j != i and j % 2 == i % 2] for i in range(n)]
    idx = np.array([row[:6] + [-1] * (6 - len(row[:6])) for row in same], np.int32)
    weight = np.where(idx >= 0, np.linspace(1, 0.5, 6), 0).astype(np.float32)
    popularity = np.linspace(10, 1, n).astype(np.float32)
    return catalogue_arrays(shop_items(n), popularity) | {
        "item_factors": y,
        "factor_inverse": np.linalg.inv(y.T @ y + 0.1 * np.eye(factors)).astype(np.float32),
        "neighbours_item_knn_idx": idx,
        "neighbours_item_knn_weight": weight,
        "neighbours_purchase_purchase_idx": idx[:, :3].copy(),
        "neighbours_purchase_purchase_weight": weight[:, :3].copy(),
        "neighbours_two_steps_idx": idx[:, :5].copy(),
        "neighbours_two_steps_weight": weight[:, :5].copy(),
        "neighbours_content_idx": idx[:, :2].copy(),
        "neighbours_content_weight": weight[:, :2].copy(),
        **shortlists(n),
        "repeat_probability": np.linspace(0.9, 0.1, n).astype(np.float32),
        "interval_log_mean": np.log(np.linspace(7, 60, n)).astype(np.float32),
        "interval_log_sd": np.full(n, 0.5, np.float32),
        "usual_interval": np.array([30 * 86_400], np.float32),
    }


def shortlists(n: int) -> dict[str, np.ndarray]:
    """What rises, what is new and what early adopters pick: some of the n items each."""
    arrays: dict[str, np.ndarray] = {}
    for step, name in enumerate(("trend", "new_items", "early_adopters"), start=2):
        items = np.arange(0, n, step, dtype=np.int32)
        arrays[f"shortlist_{name}_items"] = items
        arrays[f"shortlist_{name}_score"] = np.linspace(3, 1, len(items), dtype=np.float32)
    return arrays


def shop_visits(n: int) -> list[list[int]]:
    """Visits that stay in one department: three neighbouring items of it, in turn."""
    return [[first, first + 2, first + 4] for first in range(n - 4)]


def visit_arrays(visits: Sequence[Sequence[int]], n: int) -> dict[str, np.ndarray]:
    """Arrays of these visits, oldest first, to n items."""
    met = [sorted({number for number, each in enumerate(visits) if i in each}) for i in range(n)]
    return {
        "session_items": np.array([item for each in visits for item in each], np.int32),
        "session_offsets": np.cumsum([0, *map(len, visits)], dtype=np.int64),
        "item_sessions": np.array([number for each in met for number in each], np.int32),
        "item_sessions_offsets": np.cumsum([0, *map(len, met)], dtype=np.int64),
    }


def relabelled(arrays: Mapping[str, np.ndarray], order: np.ndarray) -> dict[str, np.ndarray]:
    """The same shop with its items in another order."""
    place = np.argsort(order).astype(np.int32)
    n = len(order)
    moved = {
        name: array[order]
        for name, array in arrays.items()
        if array.shape[:1] == (n,) and not name.startswith("shortlist")
    }
    moved = dict(arrays) | moved
    for name, array in moved.items():
        if name.endswith("_idx"):
            moved[name] = np.where(array >= 0, place[array], -1).astype(np.int32)
        if name.endswith("_items") and name.startswith("shortlist"):
            moved[name] = place[array]
    if "session_items" in arrays:
        steps = place[arrays["session_items"]].tolist()
        bounds = arrays["session_offsets"].tolist()
        moved |= visit_arrays([steps[a:b] for a, b in pairwise(bounds)], n)
    items = shop_items(n)
    return moved | catalogue_arrays([items[i] for i in order], arrays["popularity"][order])


NEAREST = {"k": 10.0, "sample": 8.0, "seed_reach": 2.0, "item_reach": 5.0, "backward": 0.5}
SESSION_SOURCES = {
    "session_knn": SourceInfo(params=NEAREST),
    "session_knn_near": SourceInfo(params=NEAREST | {"k": 3.0, "item_reach": 1.0}),
}


def shop_info(blend: Mapping[str, float] = BLEND, **changes: object) -> BundleInfo:
    """Description of the shop's bundle."""
    parts = {
        "window_start": "2026-01-01T00:00:00+00:00",
        "window_end": "2026-01-31T00:00:00+00:00",
        "data_digest": "0" * 64,
        "config": {"als": {"alpha": 10.0}},
        "config_digest": "1" * 64,
        "libraries": {"numpy": np.__version__},
        "sources": {
            "als": SourceInfo(params={"alpha": 10.0}),
            "item_knn": SourceInfo(),
            "purchase_purchase": SourceInfo(seed_events=(PURCHASE,)),
            "returns": SourceInfo(),
            "popularity": SourceInfo(),
            "popular_in_category": SourceInfo(),
            "content": SourceInfo(),
            "two_steps": SourceInfo(params={"lag_decay": 0.8}),
            "buy_again": SourceInfo(params={"horizon_days": 28.0, "own_prior": 2.0, "least": 0.01}),
            **{
                name: SourceInfo(params={"everybody": 0.2})
                for name in ("trend", "new_items", "early_adopters")
            },
        },
        "blend": dict(blend),
        "event_weights": EVENT_WEIGHTS,
        "seed_half_life_seconds": 30 * 86400.0,
    }
    return BundleInfo(**(parts | changes))  # type: ignore[arg-type]


def shop_bundle(n: int = 20, blend: Mapping[str, float] = BLEND, seed: int = 0) -> ModelBundle:
    """The shop's bundle in memory, with the sources that need compiled code."""
    info = shop_info(blend)
    info = replace(info, sources={**info.sources, **SESSION_SOURCES})
    arrays = shop_arrays(n, seed=seed) | visit_arrays(shop_visits(n), n)
    return bundle_of(arrays, BundleManifest.describe(info, {}))


def saved_bundle(folder: Path, n: int = 20, seed: int = 0) -> BundleManifest:
    """The shop's bundle on disk, without any source that needs compiled code: starts are quick."""
    return save_bundle(folder, shop_arrays(n, seed=seed), shop_info())


def named_bundle(folder: Path, name: str) -> str:
    """A bundle whose items and titles say which bundle they belong to."""
    items = [replace(item, item_id=f"{name}-{item.item_id}", title=name) for item in shop_items(60)]
    arrays = shop_arrays(60)
    arrays |= catalogue_arrays(items, arrays["popularity"])
    return save_bundle(folder, arrays, shop_info()).version


def viewed(*items: int, event_type: str = VIEW_ITEM) -> tuple[Interaction, ...]:
    """Interactions with these items, one a minute, the last one a minute before `AT`."""
    return tuple(
        Interaction(f"item-{item:02d}", event_type, AT_MICROS - (len(items) - n) * MINUTE)
        for n, item in enumerate(items)
    )


def pair_arrays(n: int = 20, seed: int = 0) -> dict[str, np.ndarray]:
    """Lifts of pairs: each item meets the next four, some in baskets, some only side by side."""
    rng = np.random.default_rng(seed)
    idx = (np.arange(n)[:, None] + np.arange(1, 5)) % n
    category = np.tile(np.arange(4), (4, 1))  # garden, garden/seeds, garden/tools, kitchen
    return {
        "pair_idx": idx.astype(np.int32),
        "pair_lift": rng.choice([0.2, 3.0], idx.shape).astype(np.float32),
        "pair_category": category.astype(np.int32),
        "pair_category_lift": np.where(np.eye(4) > 0, 0.3, 2.0).astype(np.float32),
    }


TERMS = ("spade", "knife")


def way_arrays() -> dict[str, np.ndarray]:
    """Ways of the shop: from the garden to the kitchen, to a knife, and with a cart to pay."""
    states = 2 * 5
    terms = StringArray.from_strings(TERMS)
    category = np.tile(np.array([3, 2], np.int32), (states, 1))
    term = np.tile(np.array([1, -1], np.int32), (states, 1))
    return {
        "way_item_worth": np.tile(np.array([0.5, 0.3, 0.1], np.float32), (states, 1)),
        "way_category": category,
        "way_category_worth": np.tile(np.array([0.4, 0.05], np.float32), (states, 1)),
        "way_term": term,
        "way_term_worth": np.tile(np.array([0.2, 0.0], np.float32), (states, 1)),
        "way_checkout_worth": np.tile(np.array([0.0, 0.9], np.float32), states // 2),
        "term_data": terms.data,
        "term_offsets": terms.offsets,
    }


def knowing_bundle(n: int = 20, seed: int = 0) -> ModelBundle:
    """The shop's bundle with all that kinds need: pairs, rests and ways."""
    arrays, info = _knowing(n, seed)
    return bundle_of(arrays, BundleManifest.describe(info, {}))


def saved_knowing_bundle(folder: Path) -> BundleManifest:
    """The same on disk."""
    return save_bundle(folder, *_knowing(20, 0))


def _knowing(n: int, seed: int) -> tuple[dict[str, np.ndarray], BundleInfo]:
    info = shop_info()
    params = dict(info.sources["buy_again"].params) | {"due": 0.2}
    info = replace(info, sources={**info.sources, "buy_again": SourceInfo(params=params)})
    rest = np.where(np.arange(n) % 3 == 0, 90, 0).astype(np.float32)
    more = pair_arrays(n, seed) | way_arrays() | {"rest_days": rest}
    return shop_arrays(n) | more, info
