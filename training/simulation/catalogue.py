"""What the made-up shop sells: categories, brands, prices, hidden styles, popularity, seasons.

Notation: M items, L leaf categories, B brands, F style dimensions. The *style* of an item is what
the shopper's taste is compared with; it never leaves the simulator. Items of one brand have similar
styles, so taste shows as a habit of brands and of items bought together by the same people: what a
recommender can learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.errors import InvalidInputError
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array
from training.simulation.assortment import Leaf, read_leaves
from training.simulation.naming import brand_names, titles

SUBSTITUTE_PRICE_RATIO = 1.35
"""Items of one leaf are substitutes when neither costs more than this many times the other."""


@dataclass(frozen=True, slots=True)
class CatalogueSpec:
    """Size and shape of the catalogue.

    Parameters
    ----------
    items
        Number of items, ≥ 20.
    style_dimensions
        F, length of the hidden style vectors.
    zipf_exponent
        Popularity of the item of rank r is proportional to r to the power of minus this.
    brand_weight
        Share of an item's style that comes from its brand, 0..1.
    new_share
        Share of items that come into the shop during the simulated time.
    items_per_leaf
        Aimed at; sets how many leaves of the tree are used.
    """

    items: int = 1500
    style_dimensions: int = 8
    zipf_exponent: float = 0.4
    brand_weight: float = 0.6
    new_share: float = 0.1
    items_per_leaf: int = 30

    def __post_init__(self) -> None:
        if self.items < 20:
            raise InvalidInputError(f"items={self.items}; accepted: 20 or more")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items and their categories.

    Parameters
    ----------
    item_ids, titles
        Outside ids and names, length M.
    leaves
        The L leaves.
    leaf, brand
        int32 (M,), index of the item's leaf and brand.
    section, department
        int32 (L,), index of the leaf's parent and grandparent.
    price
        float64 (M,), EUR.
    price_position
        float32 (M,), logarithm of the price over the median price of the leaf.
    style
        float32 (M, F), unit length.
    appeal
        float64 (M,), share of popularity, sums to 1.
    quality
        float32 (M,), standardised logarithm of `appeal`.
    arrival_day
        int32 (M,), the day on which the item is first on sale; 0 for most.
    goes_with
        bool (L, L), symmetric: leaves whose items complement each other.
    season
        float64 (L, 13), demand by month 1..12, mean 1; column 0 unused.
    interval_days
        float64 (L,), days until a consumable is bought again, 0 for durables.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    brand_names: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    leaf: Int32Array
    brand: Int32Array
    section: Int32Array
    department: Int32Array
    price: Float64Array
    price_position: Float32Array
    style: Float32Array
    appeal: Float64Array
    quality: Float32Array
    arrival_day: Int32Array
    goes_with: BoolArray
    season: Float64Array
    interval_days: Float64Array

    def __len__(self) -> int:
        return len(self.item_ids)

    def substitutes(self, item: int) -> Int32Array:
        """Indices of the items of the same leaf at a similar price, without the item itself."""
        near = np.abs(self.price_position - self.price_position[item])
        alike = (self.leaf == self.leaf[item]) & (near <= np.log(SUBSTITUTE_PRICE_RATIO))
        alike[item] = False
        return np.flatnonzero(alike).astype(np.int32)

    def complements(self, item: int) -> Int32Array:
        """Indices of the items of the leaves that go with the item's leaf."""
        return np.flatnonzero(self.goes_with[self.leaf[item]][self.leaf]).astype(np.int32)


def build_catalogue(spec: CatalogueSpec, days: int, rng: np.random.Generator) -> Catalogue:
    """Make up a catalogue.

    Parameters
    ----------
    days
        Length of the simulated time; new items arrive within it.
    """
    leaves = read_leaves(max(6, spec.items // spec.items_per_leaf))
    leaf = _assign_leaves(spec.items, len(leaves), rng)
    brands = max(4, spec.items // 25)
    brand, brand_style, brand_level = _brands(spec, leaf, brands, rng)
    names = brand_names(rng, brands)
    price = _prices(np.array([one.price for one in leaves])[leaf], brand_level[brand], rng)
    appeal = _appeal(spec, rng)
    section, department = _ancestors(leaves)
    return Catalogue(
        item_ids=_item_ids(spec.items, rng),
        titles=tuple(titles(rng, [names[b] for b in brand], [leaves[x].noun for x in leaf])),
        brand_names=tuple(names),
        leaves=leaves,
        leaf=leaf,
        brand=brand,
        section=section,
        department=department,
        price=price,
        price_position=_price_position(price, leaf, len(leaves)),
        style=_style(spec, brand_style[brand], rng),
        appeal=appeal,
        quality=_standardise(np.log(appeal)),
        arrival_day=_arrivals(spec, days, rng),
        goes_with=_pairs(leaves),
        season=_seasons(leaves),
        interval_days=np.array([float(one.every) for one in leaves]),
    )


def _assign_leaves(items: int, leaves: int, rng: np.random.Generator) -> Int32Array:
    """Every leaf gets at least three items, the rest fall unevenly (Dirichlet)."""
    sure = np.tile(np.arange(leaves), 3)[:items]
    share = rng.dirichlet(np.full(leaves, 10.0))
    rest = rng.choice(leaves, size=items - len(sure), p=share)
    return rng.permutation(np.concatenate([sure, rest])).astype(np.int32)


def _brands(
    spec: CatalogueSpec, leaf: Int32Array, brands: int, rng: np.random.Generator
) -> tuple[Int32Array, Float64Array, Float64Array]:
    """Brand of each item, and style and logarithmic price level of each brand.

    A leaf is offered by a handful of brands, the first of them with the most items.
    """
    style = rng.standard_normal((brands, spec.style_dimensions))
    style /= np.linalg.norm(style, axis=1, keepdims=True)
    per_leaf = min(brands, 6)
    offered = rng.integers(brands, size=(int(leaf.max()) + 1, per_leaf))
    weights = 1.0 / np.arange(1, per_leaf + 1)
    chosen = rng.choice(per_leaf, size=len(leaf), p=weights / weights.sum())
    return offered[leaf, chosen].astype(np.int32), style, rng.normal(0.0, 0.3, brands)


def _prices(base: Float64Array, level: Float64Array, rng: np.random.Generator) -> Float64Array:
    raw = base * np.exp(level + rng.normal(0.0, 0.2, len(base)))
    return np.maximum(np.floor(raw), 1.0) - 0.01


def _price_position(price: Float64Array, leaf: Int32Array, leaves: int) -> Float32Array:
    logarithm = np.log(price)
    median = np.array([np.median(logarithm[leaf == one]) for one in range(leaves)])
    return np.asarray(logarithm - median[leaf], np.float32)


def _style(spec: CatalogueSpec, of_brand: Float64Array, rng: np.random.Generator) -> Float32Array:
    own = rng.standard_normal(of_brand.shape)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    mixed = spec.brand_weight * of_brand + (1.0 - spec.brand_weight) * own
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def _appeal(spec: CatalogueSpec, rng: np.random.Generator) -> Float64Array:
    weight = np.arange(1, spec.items + 1, dtype=np.float64) ** -spec.zipf_exponent
    return rng.permutation(weight / weight.sum())


def _standardise(values: Float64Array) -> Float32Array:
    return np.asarray((values - values.mean()) / values.std(), np.float32)


def _arrivals(spec: CatalogueSpec, days: int, rng: np.random.Generator) -> Int32Array:
    arrival = np.zeros(spec.items, np.int32)
    new = rng.random(spec.items) < spec.new_share
    arrival[new] = rng.integers(0, max(days, 1), int(new.sum()))
    return arrival


def _item_ids(items: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Ids in random order, so that nothing can be read from the number."""
    return tuple(f"sku-{number:05d}" for number in rng.permutation(items) + 1)


def _ancestors(leaves: tuple[Leaf, ...]) -> tuple[Int32Array, Int32Array]:
    sections = [leaf.path.rsplit("/", 1)[0] for leaf in leaves]
    departments = [leaf.path.split("/", 1)[0] for leaf in leaves]
    return _numbered(sections), _numbered(departments)


def _numbered(names: list[str]) -> Int32Array:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int32)


def _pairs(leaves: tuple[Leaf, ...]) -> BoolArray:
    number = {leaf.path: idx for idx, leaf in enumerate(leaves)}
    pairs = np.zeros((len(leaves), len(leaves)), np.bool_)
    for leaf in leaves:
        for other in leaf.goes_with:
            if other in number:
                pairs[number[leaf.path], number[other]] = True
    return pairs | pairs.T


def _seasons(leaves: tuple[Leaf, ...]) -> Float64Array:
    """1 + swing · cos(2π (month - peak) / 12), which has mean 1 over the year."""
    months = np.arange(13)[None, :]
    peak = np.array([leaf.peak for leaf in leaves])[:, None]
    swing = np.array([leaf.swing for leaf in leaves])[:, None]
    return np.asarray(1.0 + swing * np.cos(2.0 * np.pi * (months - peak) / 12.0))
