"""A large model without a large log: a learnt one grown to more items, with factors of its own.

What a simulated shop of a hundred thousand items and its training would take is hours. So a small
shop is simulated and learnt from, with everything that training makes, and its model is grown:

- item i is a copy of item ``i mod n`` of the small shop. Neighbour lists keep their weights and
  widths; each neighbour is some copy of the small shop's one. Past visits grow in number likewise;
- ranker, pace, ways, promises and categories are those of the small shop;
- the factor model is new: interactions are drawn (few items get most of the looks, shoppers have a
  few tastes each) and factorised by `implicit`; beyond `MOST_FACTORISED` items factors are drawn.

So an answer does the work that it would do with a learnt model of that size; whether it is a good
answer cannot be asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.bundle import ModelBundle, save_bundle
from recommender.bundle_manifest import SourceInfo
from recommender.bundle_schema import spec_of
from recommender.catalogue import CatalogueItem, catalogue_arrays
from training.models.als import factor_inverse, factorise
from training.models.reach import reach_params
from training.sections import AUTO, AlsSpec

Arrays = dict[str, npt.NDArray[Any]]
MOST_FACTORISED: Final = 200_000
REGULARIZATION: Final = 0.05
EVENTS_PER_VISITOR: Final = 25
TASTES, TASTES_EACH, FROM_TASTES, SKEW = 400, 4, 0.85, 0.8
NOISE: Final = 0.1
VECTORS: Final = {"als": "item_factors", "encoder": "encoder_vectors"}
SESSIONS: Final = ("session_items", "session_offsets", "item_sessions", "item_sessions_offsets")


@dataclass(frozen=True, slots=True)
class Size:
    """How large it is to be.

    Parameters
    ----------
    width
        Neighbours of each item per source, at most; 0: as in the small model.
    """

    items: int
    visitors: int
    factors: int = 128
    width: int = 0
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of a folder for it."""
        cut = f"-w{self.width}" if self.width else ""
        return f"grown-{self.items}x{self.factors}-{self.visitors}{cut}-{self.seed}"


@dataclass(frozen=True, slots=True)
class FactorModel:
    """What a service around `implicit` needs.

    Parameters
    ----------
    user_items
        float32 (visitors, items).
    user_factors, item_factors
        float32 (visitors, factors) and (items, factors).
    """

    user_items: sparse.csr_array
    user_factors: npt.NDArray[np.float32]
    item_factors: npt.NDArray[np.float32]


def drawn_interactions(size: Size) -> sparse.csr_array:
    """Who dealt with what, float32 (visitors, items)."""
    rng = np.random.default_rng([size.seed, 1])
    events = size.visitors * EVENTS_PER_VISITOR
    popularity = 1 / np.arange(1, size.items + 1) ** SKEW
    activity = rng.lognormal(0, 1, size.visitors)
    visitor = rng.choice(size.visitors, events, p=activity / activity.sum())
    # Items of one taste are those with the same remainder, so that each has popular ones.
    tastes = rng.integers(0, TASTES, (size.visitors, TASTES_EACH))
    taste = tastes[visitor, rng.integers(0, TASTES_EACH, events)]
    steps = np.cumsum(popularity)
    item = np.searchsorted(steps / steps[-1], rng.random(events)).clip(0, size.items - 1)
    near = item - item % TASTES + taste
    item = np.where((rng.random(events) < FROM_TASTES) & (near < size.items), near, item)
    ones = np.ones(events, np.float32)
    found = sparse.csr_array((ones, (visitor, item)), shape=(size.visitors, size.items))
    found.sum_duplicates()
    return found


def factor_model(size: Size) -> FactorModel:
    """Factorised where that is done within minutes, else drawn around the centres of tastes."""
    user_items = drawn_interactions(size)
    if size.items <= MOST_FACTORISED:
        spec = AlsSpec(factors=size.factors, regularization=REGULARIZATION, iterations=5)
        found = factorise(user_items, spec)
        return FactorModel(user_items, found.user_factors, found.item_factors)
    rng = np.random.default_rng([size.seed, 2])
    centres = rng.standard_normal((TASTES, size.factors), np.float32)
    length = rng.lognormal(0, 0.5, size.items).astype(np.float32) / np.float32(size.factors)
    item_factors = rng.standard_normal((size.items, size.factors), np.float32)
    item_factors += centres[np.arange(size.items) % TASTES]
    item_factors *= length[:, None]
    user_factors = np.asarray(user_items @ item_factors, np.float32)
    return FactorModel(user_items, user_factors, item_factors)


def grow(small: ModelBundle, size: Size, model: FactorModel, folder: Path) -> None:
    """Write the large bundle."""
    rng = np.random.default_rng([size.seed, 3])
    popularity = np.asarray(model.user_items.sum(axis=0), np.float32).ravel()
    arrays = _catalogue(small, size, popularity)
    for name, array in small.arrays.items():
        if name not in arrays and name not in SESSIONS:
            arrays[name] = _grown(name, array, len(small.catalogue), size, rng)
    if "session_items" in small.arrays:
        arrays |= _sessions(small, size, rng)
    arrays["item_factors"] = model.item_factors
    arrays["factor_inverse"] = factor_inverse(model.item_factors, REGULARIZATION)
    config = {"grown": {"items": size.items, "from": small.version, "seed": size.seed}}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
    info = replace(small.manifest.info, sources=_sources(small, arrays))
    save_bundle(folder, arrays, replace(info, config=config, config_digest=digest))


def _sources(small: ModelBundle, arrays: Arrays) -> dict[str, SourceInfo]:
    """Those with vectors choose from what training would have them choose from at this size."""
    sources = dict(small.manifest.info.sources)
    for name, vectors in VECTORS.items():
        if name in sources:
            params = {**sources[name].params, "of_pool": 0.0} | reach_params(AUTO, arrays[vectors])
            sources[name] = replace(sources[name], params=params)
    return sources


def _catalogue(small: ModelBundle, size: Size, popularity: npt.NDArray[np.float32]) -> Arrays:
    known = small.catalogue
    titles = known.titles.tolist()
    kinds = [
        (titles[at], known.category_of(at), known.brand_of(at), known.price_of(at))
        for at in range(len(known))
    ]
    items = (CatalogueItem(f"item-{i:07d}", *kinds[i % len(kinds)]) for i in range(size.items))
    return dict(catalogue_arrays(items, popularity))


def _grown(
    name: str,
    array: npt.NDArray[Any],
    small: int,
    size: Size,
    rng: np.random.Generator,
) -> npt.NDArray[Any]:
    dims = spec_of(name).dims
    if name.startswith("shortlist_") and name.endswith("_items"):
        return _copies(array, small, size.items, rng)
    if dims[0] != "items":
        return array
    rows = array[np.arange(size.items) % small]
    if name.startswith("neighbours_") and size.width:
        rows = rows[:, : size.width]
    if name.endswith("_idx"):
        return _copies(rows, small, size.items, rng)
    if name.endswith("_vectors"):  # copies are near each other, and not the same
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        spread = NOISE * length / np.sqrt(rows.shape[1])
        rows = rows + rng.standard_normal(rows.shape, np.float32) * spread
    return np.ascontiguousarray(rows, array.dtype)


def _copies(
    items: npt.NDArray[Any], small: int, large: int, rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Some copy of each of these items; what is no item (-1) stays so."""
    copies = np.maximum((large - items + small - 1) // small, 1)
    copy = (rng.random(items.shape, np.float32) * copies).astype(np.int32)
    copy = np.minimum(copy, copies - 1)
    return np.where(items < 0, items, items + small * copy).astype(np.int32)


def _sessions(small: ModelBundle, size: Size, rng: np.random.Generator) -> Arrays:
    """As many times the past visits as there are copies of an item, and the index of them."""
    items, offsets = (np.asarray(small.arrays[name]) for name in SESSIONS[:2])
    times = -(-size.items // len(small.catalogue))
    steps = _copies(np.tile(items, times), len(small.catalogue), size.items, rng)
    lengths = np.tile(np.diff(offsets), times)
    session = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    pairs = np.unique(steps.astype(np.int64) * len(lengths) + session)
    met = np.bincount(pairs // len(lengths), minlength=size.items)
    return {
        "session_items": steps,
        "session_offsets": np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        "item_sessions": (pairs % len(lengths)).astype(np.int32),
        "item_sessions_offsets": np.concatenate(([0], np.cumsum(met))).astype(np.int64),
    }


def save_factors(model: FactorModel, folder: Path) -> None:
    """Write what the peers load: two arrays and a sparse matrix."""
    folder.mkdir(parents=True)
    np.save(folder / "item_factors.npy", model.item_factors, allow_pickle=False)
    np.save(folder / "user_factors.npy", model.user_factors, allow_pickle=False)
    sparse.save_npz(folder / "user_items.npz", model.user_items)


def sizes_of(arrays: Mapping[str, npt.NDArray[Any]]) -> int:
    """Bytes of all arrays."""
    return sum(array.nbytes for array in arrays.values())
