"""What a filter can know of the question: its page, its device, its cart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from recommender.catalogue import Catalogue
from recommender.query import Query

ContextValue: TypeAlias = str | float | None


def context_value(name: str, query: Query, catalogue: Catalogue) -> ContextValue:
    """Value of an attribute of the question, None where it is unknown."""
    return _VALUES[name](query, catalogue)


def page_category(query: Query, catalogue: Catalogue) -> str | None:
    """Category of the page, else that of its first item that has one."""
    if query.category:
        return query.category
    for index in catalogue.ids.indices(query.context_items):
        if (category := catalogue.category_of(index)) is not None:
            return category
    return None


def _page_item(query: Query, catalogue: Catalogue) -> int | None:
    """The first item of the page that the catalogue knows."""
    return next(iter(catalogue.ids.indices(query.context_items)), None)


def _page_brand(query: Query, catalogue: Catalogue) -> str | None:
    index = _page_item(query, catalogue)
    return None if index is None else catalogue.brand_of(index)


def _page_price(query: Query, catalogue: Catalogue) -> float | None:
    index = _page_item(query, catalogue)
    return None if index is None else catalogue.price_of(index)


def _cart_prices(query: Query, catalogue: Catalogue) -> list[float]:
    prices = (catalogue.price_of(index) for index in catalogue.ids.indices(query.cart_items))
    return [price for price in prices if price is not None]


def _cart_value(query: Query, catalogue: Catalogue) -> float | None:
    prices = _cart_prices(query, catalogue)
    return sum(prices) if prices or not query.cart_items else None


def _cart_price(query: Query, catalogue: Catalogue) -> float | None:
    prices = _cart_prices(query, catalogue)
    return sum(prices) / len(prices) if prices else None


_VALUES: Final[Mapping[str, Callable[[Query, Catalogue], ContextValue]]] = {
    "context.item_id": lambda query, _: query.context_items[0] if query.context_items else None,
    "context.category": page_category,
    "context.brand": _page_brand,
    "context.price": _page_price,
    "context.page_type": lambda query, _: query.page_type,
    "context.device": lambda query, _: query.device,
    "context.locale": lambda query, _: query.locale,
    "context.currency": lambda query, _: query.currency,
    "cart.size": lambda query, _: float(len(query.cart_items)),
    "cart.value": _cart_value,
    "cart.price": _cart_price,
}
