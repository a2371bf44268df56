"""A made-up model that holds everything a model may hold, for whoever wants to try out the code.

The service compiles its kernels on it ahead of the first start (`serving.rehearsal`): machine code
is made for types of arguments, not for sizes, so a few items do.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recommender.acceptance import ANYWHERE, Acceptance, acceptance_arrays
from recommender.bundle import bundle_of, save_bundle
from recommender.bundle_manifest import BundleInfo, BundleManifest, RankerInfo, SourceInfo
from recommender.candidates.build import SEARCHED_BYTES, SHORTLISTS
from recommender.catalogue import CatalogueItem, catalogue_arrays
from recommender.forest_arrays import PARTS, array_name
from recommender.ids import StringArray
from recommender.impression_discount import ARRAY as DISCOUNT
from recommender.impression_discount import DEFAULT_DISCOUNT
from recommender.pace import COMPARED, FEATURES, SIGNATURE
from recommender.terms import ADD_TO_CART, MODES, PURCHASE, VIEW_ITEM

ITEMS: Final = 600
_DEPARTMENTS = ("garden", "garden/tools", "kitchen")
_FACTORS, _WIDTH, _DEPTH, _VISITS, _STEPS, _UNITS, _KNOTS = 8, 6, 5, 900, 4, 4, 3
_RANKED = 50
_STATS = ("common", "late")
_NEIGHBOURS = ("view_view", "two_steps", "purchase_purchase")
_NEAREST = {"k": 10.0, "sample": 20.0, "seed_reach": 2.0, "item_reach": 5.0, "backward": 0.5}
_DAY_SECONDS = 86_400.0
_Arrays = dict[str, npt.NDArray[Any]]


def save_sample(folder: Path, *, is_of_pool: bool, is_searched: bool = False) -> BundleManifest:
    """Write the model into a new folder.

    Parameters
    ----------
    is_of_pool
        Sources with vectors choose from what the others propose, as in a large shop.
    is_searched
        The vectors of the encoder are so large that they are searched and not scanned.

    Raises
    ------
    BundleError
        The folder exists.
    """
    long = SEARCHED_BYTES // (ITEMS * np.dtype(np.float32).itemsize) + 1
    arrays = sample_arrays(np.random.default_rng(0), long if is_searched else _FACTORS)
    return save_bundle(folder, arrays, _info(arrays, is_of_pool=is_of_pool))


def sample_arrays(rng: np.random.Generator, encoder_factors: int = _FACTORS) -> _Arrays:
    """All arrays that a bundle may hold, of `ITEMS` items."""

    def shares(*shape: int) -> npt.NDArray[np.float32]:
        return rng.uniform(0.1, 0.9, shape).astype(np.float32)

    def some(below: int, *shape: int) -> npt.NDArray[np.int32]:
        return rng.integers(0, below, shape).astype(np.int32)

    departments, states = len(_DEPARTMENTS), 2 * (len(_DEPARTMENTS) + 1)
    terms = StringArray.from_strings(("spade", "knife"))
    vectors = shares(ITEMS, encoder_factors)
    popularity = np.linspace(10, 1, ITEMS, dtype=np.float32)
    arrays: _Arrays = catalogue_arrays(_items(), popularity) | {
        "item_factors": shares(ITEMS, _FACTORS),
        "factor_inverse": np.eye(_FACTORS, dtype=np.float32),
        "item_vectors": shares(ITEMS, _FACTORS),
        "encoder_vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        "encoder_lengths": shares(ITEMS),
        "encoder_lag_weights": shares(_DEPTH),
        "item_stats": shares(ITEMS, len(_STATS)),
        "repeat_probability": shares(ITEMS),
        "interval_log_mean": shares(ITEMS),
        "interval_log_sd": shares(ITEMS),
        "usual_interval": np.array([30 * _DAY_SECONDS], np.float32),
        "buy_again_demand": shares(ITEMS),
        "rest_days": shares(ITEMS),
        "stranger_popularity": popularity,
        "pair_idx": some(ITEMS, ITEMS, _WIDTH),
        "pair_lift": shares(ITEMS, _WIDTH),
        "pair_category": some(departments, departments, 2),
        "pair_category_lift": shares(departments, 2),
        "way_item_worth": np.tile(np.array([0.5, 0.3], np.float32), (states, 1)),
        "way_category": some(departments, states, 2),
        "way_category_worth": shares(states, 2),
        "way_term": some(len(terms), states, 2),
        "way_term_worth": shares(states, 2),
        "way_checkout_worth": shares(states),
        "term_data": terms.data,
        "term_offsets": terms.offsets,
        DISCOUNT: DEFAULT_DISCOUNT,
        "pace_signature": np.array([SIGNATURE], np.int64),
        "pace_quantiles": np.sort(shares(len(COMPARED), _KNOTS), axis=1),
        "pace_hidden": shares(len(FEATURES), _UNITS),
        "pace_hidden_bias": shares(_UNITS),
        "pace_output": shares(_UNITS, len(MODES)),
        "pace_output_bias": shares(len(MODES)),
    }
    for name in _NEIGHBOURS:
        arrays[f"neighbours_{name}_idx"] = some(ITEMS, ITEMS, _WIDTH)
        arrays[f"neighbours_{name}_weight"] = shares(ITEMS, _WIDTH)
    for name in SHORTLISTS:
        arrays[f"shortlist_{name}_items"] = np.arange(_WIDTH, dtype=np.int32)
        arrays[f"shortlist_{name}_score"] = shares(_WIDTH)
    arrays |= acceptance_arrays(Acceptance({ANYWHERE: (0.2, 0.1)}))
    return arrays | _visits(some(ITEMS, _VISITS, _STEPS)) | _course() | _trees()


def _items() -> list[CatalogueItem]:
    return [
        CatalogueItem(
            f"item-{i:03d}", f"Thing {i}", _DEPARTMENTS[i % len(_DEPARTMENTS)], f"b{i % 4}", 1.0 + i
        )
        for i in range(ITEMS)
    ]


def _visits(items: npt.NDArray[np.int32]) -> _Arrays:
    met = [np.flatnonzero((items == item).any(axis=1)) for item in range(ITEMS)]
    return {
        "session_items": items.ravel(),
        "session_offsets": np.arange(0, items.size + 1, _STEPS, dtype=np.int64),
        "item_sessions": np.concatenate(met).astype(np.int32),
        "item_sessions_offsets": np.cumsum([0, *map(len, met)], dtype=np.int64),
    }


def _course() -> _Arrays:
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.course import KINDS

    return {
        "course_child": np.full((1, KINDS + 1), -1, np.int32),
        "course_share": np.full((1, KINDS), 1 / KINDS, np.float32),
    }


def _trees() -> _Arrays:
    """For each head one tree of two leaves."""
    from recommender.ranker import NEXT_STEP, PURCHASE_HEAD

    values = dict(zip(PARTS, ([0], [0.5], [False], [~0], [~1], [0.1, 0.9], [0, 1]), strict=True))
    return {
        array_name(head, part): np.array(values[part], dtype)
        for head in (NEXT_STEP, PURCHASE_HEAD)
        for part, (dtype, _) in PARTS.items()
    }


def _info(arrays: _Arrays, *, is_of_pool: bool) -> BundleInfo:
    from recommender.ranker import feature_maker

    sources = _sources(is_of_pool=is_of_pool)
    info = BundleInfo(
        window_start="2000-01-01T00:00:00+00:00",
        window_end="2000-01-31T00:00:00+00:00",
        data_digest="",
        config={},
        config_digest="",
        libraries={"numpy": np.__version__},
        sources=sources,
        blend=dict.fromkeys(sources, 1.0),
        event_weights={VIEW_ITEM: 1.0, ADD_TO_CART: 3.0, PURCHASE: 5.0},
        seed_half_life_seconds=30 * _DAY_SECONDS,
    )
    bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
    names = feature_maker(arrays, bundle.catalogue, bundle.sources, _STATS).names
    return replace(info, ranker=RankerInfo(names, _STATS, _RANKED, info.blend))


def _sources(*, is_of_pool: bool) -> dict[str, SourceInfo]:
    choice = {"of_pool": float(is_of_pool)}
    plain = ("returns", "popularity", "popular_in_category", *_NEIGHBOURS)
    return {
        **{name: SourceInfo() for name in plain},
        **{name: SourceInfo(params={"everybody": 0.2}) for name in SHORTLISTS},
        "als": SourceInfo(params={"alpha": 10.0} | choice),
        "encoder": SourceInfo(params={"temperature": 0.1} | choice),
        "session_knn": SourceInfo(params=_NEAREST),
        "session_knn_near": SourceInfo(params=_NEAREST),
        "buy_again": SourceInfo(params={"horizon_days": 28.0, "own_prior": 2.0, "least": 0.01}),
    }
