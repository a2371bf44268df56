"""The items of a bundle and what is known about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from recommender.ids import IdMap, StringArray
from recommender.read_only import read_only
from recommender.terms import BoolArray, Float32Array, Int32Array, Int64Array

NO_CATEGORY = -1
UNKNOWN_PRICE = 0.0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Attributes of n items.

    Parameters
    ----------
    ids
        Outside id ↔ index.
    titles
        Title of each item; empty where unknown.
    categories, brands
        The distinct category paths and brands.
    item_category, item_brand
        Index into `categories` and `brands`, int32 (n,); -1 where unknown.
    item_price
        float32 (n,); 0 where unknown.
    item_available
        False: never shown (out of stock, hidden), bool (n,).
    popularity
        Decayed weight of all interactions, float32 (n,), not negative.
    popular_order
        Item indices, most popular first, int32 (n,).
    category_items, category_items_offsets
        The items of category c and its descendants, most popular first, are
        ``category_items[offsets[c]:offsets[c+1]]``.
    available
        How many items are.
    rest_days
        How long each item rests once a shopper has bought it, float32 (n,); 0 where it is bought
        again and again, or nothing is known about that.
    stranger_popularity
        The popularity that counts for those of whom nothing is known, float32 (n,), not negative;
        None: the same as for everybody else.
    for_strangers
        The same items with that popularity and its order.
    """

    ids: IdMap
    titles: StringArray
    categories: IdMap
    brands: IdMap
    item_category: Int32Array
    item_brand: Int32Array
    item_price: Float32Array
    item_available: BoolArray
    popularity: Float32Array
    popular_order: Int32Array
    category_items: Int32Array
    category_items_offsets: Int64Array
    rest_days: Float32Array
    stranger_popularity: Float32Array | None = None
    available: int = field(init=False, repr=False, compare=False)
    for_strangers: Catalogue = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "available", int(np.count_nonzero(self.item_available)))
        object.__setattr__(self, "for_strangers", self._for_strangers())

    def _for_strangers(self) -> Catalogue:
        if (popularity := self.stranger_popularity) is None:
            return self
        order = by_popularity(popularity)
        return replace(self, popularity=popularity, popular_order=order, stranger_popularity=None)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Catalogue:
        """Take the catalogue's part of a bundle's arrays."""

        def strings(name: str) -> StringArray:
            return StringArray(arrays[f"{name}_data"], arrays[f"{name}_offsets"])  # type: ignore[arg-type]

        def id_map(name: str) -> IdMap:
            return IdMap(strings(name), arrays[f"{name}_slots"])  # type: ignore[arg-type]

        plain = {name: read_only(arrays[name]) for name in _PLAIN}
        restless = np.zeros(len(arrays["item_category"]), np.float32)
        return cls(
            id_map("item_id"),
            strings("title"),
            id_map("category"),
            id_map("brand"),
            **plain,
            rest_days=arrays.get("rest_days", restless),  # type: ignore[arg-type]
            stranger_popularity=arrays.get("stranger_popularity"),  # type: ignore[arg-type]
        )

    def __len__(self) -> int:
        return len(self.ids)

    def check(self) -> None:
        """Raise `BundleError` unless ids, titles, categories and brands are consistent."""
        self.ids.check("item_id")
        self.titles.check("title")
        self.categories.check("category")
        self.brands.check("brand")

    def category_of(self, item_idx: int) -> str | None:
        """Category path of an item."""
        index = int(self.item_category[item_idx])
        return None if index == NO_CATEGORY else self.categories.id(index)

    def brand_of(self, item_idx: int) -> str | None:
        """Brand of an item."""
        index = int(self.item_brand[item_idx])
        return None if index == NO_CATEGORY else self.brands.id(index)

    def price_of(self, item_idx: int) -> float | None:
        """Price of an item, in the shop's currency."""
        # A float32 holds seven digits; more of them would be noise such as 52.9900016784668.
        price = round(float(self.item_price[item_idx]), 4)
        return None if price == UNKNOWN_PRICE else price

    def in_category(self, category: str) -> Int32Array:
        """Items of a category and its descendants, most popular first; empty if it is unknown."""
        index = self.categories.index(category)
        if index is None:
            return self.category_items[:0]
        start, stop = self.category_items_offsets[index : index + 2]
        return self.category_items[start:stop]


_PLAIN = (
    "item_category",
    "item_brand",
    "item_price",
    "item_available",
    "popularity",
    "popular_order",
    "category_items",
    "category_items_offsets",
)


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """One item on its way into a bundle."""

    item_id: str
    title: str = ""
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    is_available: bool = True


def catalogue_arrays(
    items: Iterable[CatalogueItem], popularity: Float32Array
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a catalogue, the inverse of `Catalogue.from_arrays`.

    Parameters
    ----------
    items
        n items, the position is the index.
    popularity
        float32 (n,), not negative. Ties are ordered by index.

    Raises
    ------
    ValueError
        An item id occurs twice, or the lengths differ.
    """
    listed = list(items)
    if len(listed) != len(popularity):
        raise ValueError(f"{len(listed)} items, but popularity has {len(popularity)} values")
    categories = sorted({path for item in listed for path in _ancestors(item.category)})
    brands = sorted({item.brand for item in listed if item.brand})
    category_idx = {path: index for index, path in enumerate(categories)}
    brand_idx = {brand: index for index, brand in enumerate(brands)}
    order = by_popularity(popularity)
    members, offsets = _category_members([listed[i].category for i in order], order, category_idx)
    arrays: dict[str, npt.NDArray[np.generic]] = {
        **_id_map_arrays("item_id", [item.item_id for item in listed]),
        **_id_map_arrays("category", categories),
        **_id_map_arrays("brand", brands),
        **_string_arrays("title", StringArray.from_strings(item.title for item in listed)),
        "item_category": np.array(
            [category_idx.get(i.category or "", -1) for i in listed], np.int32
        ),
        "item_brand": np.array([brand_idx.get(i.brand or "", -1) for i in listed], np.int32),
        "item_price": np.array([i.price or UNKNOWN_PRICE for i in listed], np.float32),
        "item_available": np.array([i.is_available for i in listed], np.bool_),
        "popularity": popularity.astype(np.float32),
        "popular_order": order,
        "category_items": members,
        "category_items_offsets": offsets,
    }
    return arrays


def by_popularity(popularity: Float32Array) -> Int32Array:
    """Item indices, most popular first, ties by index: int32 (n,)."""
    return np.argsort(-popularity, kind="stable").astype(np.int32)


def _ancestors(category: str | None) -> list[str]:
    levels = category.split("/") if category else []
    return ["/".join(levels[:depth]) for depth in range(1, len(levels) + 1)]


def _category_members(
    paths: list[str | None], order: Int32Array, category_idx: Mapping[str, int]
) -> tuple[Int32Array, Int64Array]:
    members: list[list[int]] = [[] for _ in category_idx]
    for path, item_idx in zip(paths, order.tolist(), strict=True):
        for ancestor in _ancestors(path):
            members[category_idx[ancestor]].append(item_idx)
    offsets = np.zeros(len(members) + 1, np.int64)
    np.cumsum([len(each) for each in members], out=offsets[1:])
    return np.array([item for each in members for item in each], np.int32), offsets


def _string_arrays(name: str, strings: StringArray) -> dict[str, npt.NDArray[np.generic]]:
    return {f"{name}_data": strings.data, f"{name}_offsets": strings.offsets}


def _id_map_arrays(name: str, ids: list[str]) -> dict[str, npt.NDArray[np.generic]]:
    id_map = IdMap.from_ids(ids)
    return _string_arrays(name, id_map.ids) | {f"{name}_slots": id_map.slots}
