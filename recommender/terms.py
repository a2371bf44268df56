"""Words and array types that every other module uses, in one place.

Canonical event names follow the GA4 e-commerce vocabulary
(https://developers.google.com/analytics/devguides/collection/ga4/reference/events).
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

# ---- arrays -----------------------------------------------------------------
Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Int64Array: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Uint8Array: TypeAlias = npt.NDArray[np.uint8]

# ---- event types ------------------------------------------------------------
VIEW_ITEM_LIST: Final = "view_item_list"
SELECT_ITEM: Final = "select_item"
VIEW_ITEM: Final = "view_item"
SEARCH: Final = "search"
ADD_TO_WISHLIST: Final = "add_to_wishlist"
ADD_TO_CART: Final = "add_to_cart"
REMOVE_FROM_CART: Final = "remove_from_cart"
VIEW_CART: Final = "view_cart"
BEGIN_CHECKOUT: Final = "begin_checkout"
ADD_SHIPPING_INFO: Final = "add_shipping_info"
ADD_PAYMENT_INFO: Final = "add_payment_info"
PURCHASE: Final = "purchase"
REFUND: Final = "refund"
VIEW_PROMOTION: Final = "view_promotion"
SELECT_PROMOTION: Final = "select_promotion"
DISMISS: Final = "dismiss"
SHARE: Final = "share"
REVIEW: Final = "review"
IDENTIFY: Final = "identify"
PERSONALIZE_OFF: Final = "personalize_off"
PERSONALIZE_LIGHT: Final = "personalize_light"
PERSONALIZE_FULL: Final = "personalize_full"

# The position in this tuple is the event's code in stored visitor states and arrays: append only.
EVENT_TYPES: Final = (
    VIEW_ITEM_LIST,
    SELECT_ITEM,
    VIEW_ITEM,
    SEARCH,
    ADD_TO_WISHLIST,
    ADD_TO_CART,
    REMOVE_FROM_CART,
    VIEW_CART,
    BEGIN_CHECKOUT,
    ADD_SHIPPING_INFO,
    ADD_PAYMENT_INFO,
    PURCHASE,
    REFUND,
    VIEW_PROMOTION,
    SELECT_PROMOTION,
    DISMISS,
    SHARE,
    REVIEW,
    IDENTIFY,
    PERSONALIZE_OFF,
    PERSONALIZE_LIGHT,
    PERSONALIZE_FULL,
)
EVENT_CODES: Final[dict[str, int]] = {name: code for code, name in enumerate(EVENT_TYPES)}

# Events that say something about the interest in one item. A list view is an exposure, no interest.
INTERACTION_TYPES: Final = (
    SELECT_ITEM,
    VIEW_ITEM,
    ADD_TO_WISHLIST,
    ADD_TO_CART,
    REMOVE_FROM_CART,
    PURCHASE,
    REFUND,
    DISMISS,
    SHARE,
    REVIEW,
)

# Events that say where a shopper goes without being about one item.
MOVE_TYPES: Final = (
    VIEW_ITEM_LIST,
    SEARCH,
    VIEW_CART,
    BEGIN_CHECKOUT,
    ADD_SHIPPING_INFO,
    ADD_PAYMENT_INFO,
)

# ---- table columns (snake_case, singular) -------------------------------------
EVENT_ID: Final = "event_id"
EVENT_TYPE: Final = "event_type"
EVENT_DATE: Final = "event_date"
TS: Final = "ts"
AVAILABLE_AT: Final = "available_at"
VISITOR_ID: Final = "visitor_id"
USER_ID: Final = "user_id"
SHOPPER_ID: Final = "shopper_id"
SESSION_ID: Final = "session_id"
ITEM_ID: Final = "item_id"
ITEM_POSITION: Final = "item_position"
PRICE: Final = "price"
QUANTITY: Final = "quantity"
VALUE: Final = "value"
CURRENCY: Final = "currency"
TRANSACTION_ID: Final = "transaction_id"
CATEGORY: Final = "category"
BRAND: Final = "brand"
TITLE: Final = "title"
SEARCH_TERM: Final = "search_term"
PLACEMENT: Final = "placement"
RECOMMENDATION_ID: Final = "recommendation_id"
DEVICE: Final = "device"

# ---- fallback ladder, best rung first -------------------------------------------
PERSONALISED: Final = "personalised"
SESSION: Final = "session"
SIMILAR: Final = "similar"
POPULAR_IN_CATEGORY: Final = "popular_in_category"
POPULAR: Final = "popular"
STATIC: Final = "static"
LADDER: Final = (PERSONALISED, SESSION, SIMILAR, POPULAR_IN_CATEGORY, POPULAR, STATIC)

# ---- how much of the shopper may take part in an answer, strictest first ---------------
OFF: Final = "off"
LIGHT: Final = "light"
FULL: Final = "full"
PERSONALIZE_LEVELS: Final = (OFF, LIGHT, FULL)
# The wish of a shopper is an event like any other.
PREFERENCES: Final[dict[str, str]] = {
    PERSONALIZE_OFF: OFF,
    PERSONALIZE_LIGHT: LIGHT,
    PERSONALIZE_FULL: FULL,
}
# ---- kinds of suggestions ---------------------------------------------------------
ITEM: Final = "item"
BUY_AGAIN: Final = "buy_again"
RESUME: Final = "resume"
COMPLEMENT: Final = "complement"
TO_CATEGORY: Final = "category"
TO_SEARCH: Final = "search"
TO_CHECKOUT: Final = "checkout"
ITEM_KINDS: Final = (ITEM, BUY_AGAIN, RESUME, COMPLEMENT)
NAVIGATION_KINDS: Final = (TO_CATEGORY, TO_SEARCH, TO_CHECKOUT)
KINDS: Final = (*ITEM_KINDS, *NAVIGATION_KINDS)
# ---- pace of a visit; the position is the class of `recommender.pace` -------------
HURRIED: Final = "hurried"
FOCUSED: Final = "focused"
BROWSING: Final = "browsing"
RETURNING: Final = "returning"
MODES: Final = (HURRIED, FOCUSED, BROWSING, RETURNING)
UNKNOWN_MODE: Final = "unknown"

MICROS_PER_SECOND: Final = 1_000_000
