"""Event names of other systems and the canonical name each stands for. Data only."""

from __future__ import annotations

from typing import Final

from feature_store.event_values import refused
from recommender import terms
from recommender.errors import InvalidEventError

OWN: Final = "desirepath"
GA4: Final = "ga4"
SEGMENT: Final = "segment"
SNOWPLOW: Final = "snowplow"
RETAIL: Final = "retail"
PERSONALIZE: Final = "personalize"
RECOMBEE: Final = "recombee"

TITLES: Final = {
    GA4: "GA4",
    SEGMENT: "Segment / RudderStack / PostHog",
    SNOWPLOW: "Snowplow",
    RETAIL: "Google Retail",
    PERSONALIZE: "Personalize",
    RECOMBEE: "Recombee",
}

_CANONICAL: Final = {name: name for name in terms.EVENT_TYPES}

NAMES: Final[dict[str, dict[str, str]]] = {
    # GA4 names are the canonical ones. Shops send our further types as custom events.
    GA4: {**_CANONICAL, "view_search_results": terms.SEARCH},
    SEGMENT: {
        "Product List Viewed": terms.VIEW_ITEM_LIST,
        "Product List Filtered": terms.VIEW_ITEM_LIST,
        "Product Clicked": terms.SELECT_ITEM,
        "Product Viewed": terms.VIEW_ITEM,
        "Products Searched": terms.SEARCH,
        "Product Added to Wishlist": terms.ADD_TO_WISHLIST,
        "Product Added": terms.ADD_TO_CART,
        "Wishlist Product Added to Cart": terms.ADD_TO_CART,
        "Product Removed": terms.REMOVE_FROM_CART,
        "Cart Viewed": terms.VIEW_CART,
        "Checkout Started": terms.BEGIN_CHECKOUT,
        "Checkout Step Viewed": terms.BEGIN_CHECKOUT,
        "Checkout Step Completed": terms.BEGIN_CHECKOUT,
        "Payment Info Entered": terms.ADD_PAYMENT_INFO,
        "Order Completed": terms.PURCHASE,
        "Order Refunded": terms.REFUND,
        "Order Cancelled": terms.REFUND,
        "Promotion Viewed": terms.VIEW_PROMOTION,
        "Promotion Clicked": terms.SELECT_PROMOTION,
        "Product Dismissed": terms.DISMISS,
        "Product Shared": terms.SHARE,
        "Product Reviewed": terms.REVIEW,
        "identify": terms.IDENTIFY,
        "$identify": terms.IDENTIFY,
    },
    SNOWPLOW: {
        "list_view": terms.VIEW_ITEM_LIST,
        "list_click": terms.SELECT_ITEM,
        "product_view": terms.VIEW_ITEM,
        "site_search": terms.SEARCH,
        "add_to_cart": terms.ADD_TO_CART,
        "remove_from_cart": terms.REMOVE_FROM_CART,
        "checkout_step": terms.BEGIN_CHECKOUT,
        "transaction": terms.PURCHASE,
        "refund": terms.REFUND,
        "promo_view": terms.VIEW_PROMOTION,
        "promo_click": terms.SELECT_PROMOTION,
    },
    RETAIL: {
        "category-page-view": terms.VIEW_ITEM_LIST,
        "detail-page-view": terms.VIEW_ITEM,
        "search": terms.SEARCH,
        "add-to-cart": terms.ADD_TO_CART,
        "remove-from-cart": terms.REMOVE_FROM_CART,
        "shopping-cart-page-view": terms.VIEW_CART,
        "purchase-complete": terms.PURCHASE,
        "promotion-offered": terms.VIEW_PROMOTION,
        # Kept as evidence that a page had no promotion; params.offered is false.
        "promotion-not-offered": terms.VIEW_PROMOTION,
    },
    # Personalize lets the shop choose the names, so the canonical ones are good there too.
    PERSONALIZE: {
        **_CANONICAL,
        "impression": terms.VIEW_ITEM_LIST,
        "Click": terms.SELECT_ITEM,
        "View": terms.VIEW_ITEM,
        "Purchase": terms.PURCHASE,
    },
    RECOMBEE: {
        "DetailView": terms.VIEW_ITEM,
        "Bookmark": terms.ADD_TO_WISHLIST,
        "CartAddition": terms.ADD_TO_CART,
        "Purchase": terms.PURCHASE,
    },
}

FAILED_TRANSACTION: Final = "trns_error"


def name_fields(dialect: str, name: object) -> dict[str, object]:
    """The `event_type` and `original_name` of a name of one dialect.

    Raises
    ------
    InvalidEventError
        ``unknown_event``, or ``failed_transaction`` for the report of a payment that failed.
    """
    table = NAMES[dialect]
    if isinstance(name, str) and name in table:
        return _fields(name, table[name])
    raise _unknown(name, table)


def own_name(name: str) -> dict[str, object]:
    """Like `name_fields` for our own shape, where the name of any dialect will do."""
    for table in NAMES.values():
        if name in table:
            return _fields(name, table[name])
    raise _unknown(name, _CANONICAL)


def markdown_table() -> str:
    """The table of names as it stands in ``docs/events.md``."""
    rows = [["Event type", *TITLES.values()], ["---"] * (len(TITLES) + 1)]
    rows += [[f"`{kind}`", *(_cell(NAMES[key], kind) for key in TITLES)] for kind in _CANONICAL]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _cell(table: dict[str, str], kind: str) -> str:
    return ", ".join(f"`{name}`" for name, canonical in table.items() if canonical == kind) or "-"


def _fields(name: str, canonical: str) -> dict[str, object]:
    return {"event_type": canonical, "original_name": None if name == canonical else name}


def _unknown(name: object, table: dict[str, str]) -> InvalidEventError:
    if name == FAILED_TRANSACTION:
        return InvalidEventError(
            "failed_transaction", f"event {name!r} is a payment that failed, not a purchase"
        )
    return refused("unknown_event", "event name", name, ", ".join(table))
