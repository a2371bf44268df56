"""The catalogue of the served model, page by page, for the demonstration shop front."""

from __future__ import annotations

import msgspec
import numpy as np

from recommender.catalogue import Catalogue
from recommender.terms import Int32Array

PAGE_SIZE = 24


class ShelfItem(msgspec.Struct, frozen=True):
    """One item on the shelf."""

    item_id: str
    title: str
    category: str | None
    brand: str | None
    price: float | None
    available: bool


class Shelf(msgspec.Struct, frozen=True):
    """A page of the catalogue, most popular first, and the categories to choose from."""

    items: list[ShelfItem]
    total: int
    offset: int
    categories: list[str]


def shelf_of(catalogue: Catalogue, category: str | None, words: str, offset: int) -> Shelf:
    """Items of a category whose title, brand or id holds every word."""
    order = catalogue.in_category(category) if category else catalogue.popular_order
    matching = _matching(catalogue, order, words.casefold().split()) if words else order
    shown = matching[offset : offset + PAGE_SIZE].tolist()
    return Shelf(
        [item_of(catalogue, index) for index in shown],
        len(matching),
        offset,
        catalogue.categories.ids.tolist(),
    )


def item_of(catalogue: Catalogue, index: int) -> ShelfItem:
    """One item by its index."""
    item_id = catalogue.ids.id(index)
    return ShelfItem(
        item_id,
        catalogue.titles[index] or item_id,
        catalogue.category_of(index),
        catalogue.brand_of(index),
        catalogue.price_of(index),
        bool(catalogue.item_available[index]),
    )


def _matching(catalogue: Catalogue, order: Int32Array, words: list[str]) -> Int32Array:
    def text(index: int) -> str:
        brand = catalogue.brand_of(index) or ""
        return f"{catalogue.titles[index]} {brand} {catalogue.ids.id(index)}".casefold()

    found = [i for i in order.tolist() if all(word in text(i) for word in words)]
    return np.array(found, np.int32)
