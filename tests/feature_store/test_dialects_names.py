"""The table of event names: every row, one by one, and the table in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from feature_store.dialects import normalise
from feature_store.dialects.names import NAMES
from recommender import terms
from recommender.errors import InvalidEventError

NOW = "2026-11-21T10:00:00Z"

# Written down from the conventions by hand, independent of the table in the code.
GA4 = {name: name for name in terms.EVENT_TYPES} | {"view_search_results": "search"}
SEGMENT = {
    "Product List Viewed": "view_item_list",
    "Product Clicked": "select_item",
    "Product Viewed": "view_item",
    "Products Searched": "search",
    "Product Added to Wishlist": "add_to_wishlist",
    "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart",
    "Cart Viewed": "view_cart",
    "Checkout Started": "begin_checkout",
    "Checkout Step Viewed": "begin_checkout",
    "Checkout Step Completed": "begin_checkout",
    "Payment Info Entered": "add_payment_info",
    "Order Completed": "purchase",
    "Order Refunded": "refund",
    "Order Cancelled": "refund",
    "Promotion Viewed": "view_promotion",
    "Promotion Clicked": "select_promotion",
}
SNOWPLOW = {
    "list_view": "view_item_list",
    "list_click": "select_item",
    "product_view": "view_item",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "checkout_step": "begin_checkout",
    "transaction": "purchase",
    "refund": "refund",
    "promo_view": "view_promotion",
    "promo_click": "select_promotion",
}
RETAIL = {
    "category-page-view": "view_item_list",
    "detail-page-view": "view_item",
    "search": "search",
    "add-to-cart": "add_to_cart",
    "remove-from-cart": "remove_from_cart",
    "shopping-cart-page-view": "view_cart",
    "purchase-complete": "purchase",
    "promotion-offered": "view_promotion",
    "promotion-not-offered": "view_promotion",
}
PERSONALIZE = {
    "impression": "view_item_list",
    "Click": "select_item",
    "View": "view_item",
    "Purchase": "purchase",
    "add_to_cart": "add_to_cart",
}
RECOMBEE = {
    "DetailView": "view_item",
    "Bookmark": "add_to_wishlist",
    "CartAddition": "add_to_cart",
    "Purchase": "purchase",
}


def _ga4(name: str) -> dict:
    params = {"items": [{"item_id": "x"}], "search_term": "s"}
    return {"name": name, "params": params, "client_id": "v", "user_id": "u", "ts": NOW}


def _ga4_export(name: str) -> dict:
    return {
        "event_name": name,
        "event_timestamp": "1795255200000000",
        "user_pseudo_id": "v",
        "user_id": "u",
        "event_params": [{"key": "search_term", "value": {"string_value": "s"}}],
        "items": [{"item_id": "x"}],
    }


def _segment(name: str) -> dict:
    return {
        "type": "track",
        "event": name,
        "anonymousId": "v",
        "timestamp": NOW,
        "properties": {"product_id": "x", "query": "s"},
    }


def _posthog(name: str) -> dict:
    properties = {"products": [{"sku": "x"}], "query": "s"}
    return {"event": name, "distinct_id": "v", "timestamp": NOW, "properties": properties}


def _snowplow(name: str) -> dict:
    prefix = "com_snowplowanalytics_snowplow_ecommerce"
    return {
        "domain_userid": "v",
        "derived_tstamp": "2026-11-21T10:00:00.000Z",
        f"unstruct_event_{prefix}_snowplow_ecommerce_action_1": {"type": name},
        f"contexts_{prefix}_product_1": [{"id": "x"}],
    }


def _retail(name: str) -> dict:
    return {
        "eventType": name,
        "visitorId": "v",
        "eventTime": NOW,
        "searchQuery": "s",
        "productDetails": [{"product": {"id": "x"}}],
    }


def _personalize(name: str) -> dict:
    raw = {"eventType": name, "sentAt": NOW, "sessionId": "s", "userId": "v", "itemId": "x"}
    return {**raw, "impression": ["x"]} if name == "impression" else raw


def _recombee(name: str) -> dict:
    return {"eventType": name, "userId": "v", "itemId": "x", "timestamp": 1795255200}


ROWS = [
    pytest.param(build, name, kind, id=f"{build.__name__[1:]}:{name}")
    for build, table in (
        (_ga4, GA4),
        (_ga4_export, GA4),
        (_segment, SEGMENT),
        (_posthog, SEGMENT),
        (_snowplow, SNOWPLOW),
        (_retail, RETAIL),
        (_personalize, PERSONALIZE),
        (_recombee, RECOMBEE),
    )
    for name, kind in table.items()
]


@pytest.mark.parametrize(("build", "name", "kind"), ROWS)
def test_every_row_of_the_table(build, name: str, kind: str) -> None:
    event = normalise(build(name), 0)
    assert event.event_type == kind
    assert event.original_name == (None if name == kind else name)
    assert event.visitor_id == "v"
    assert event.ts == 1_795_255_200_000_000
    assert [item.item_id for item in event.items] == ["x"]


@pytest.mark.parametrize("table", [GA4, SEGMENT, SNOWPLOW, RETAIL, PERSONALIZE, RECOMBEE])
def test_our_own_shape_takes_any_of_the_names(table: dict[str, str]) -> None:
    raw = {"ts": NOW, "visitor_id": "v", "user_id": "u", "items": [{"item_id": "x"}]}
    for name, kind in table.items():
        event = normalise({**raw, "event_type": name, "search_term": "s"}, 0)
        assert event.event_type == kind
        assert event.original_name == (None if name == kind else name)


def test_a_name_means_the_same_in_every_dialect() -> None:
    meanings: dict[str, set[str]] = {}
    for table in NAMES.values():
        for name, kind in table.items():
            meanings.setdefault(name, set()).add(kind)
    assert {name: kinds for name, kinds in meanings.items() if len(kinds) > 1} == {}
    assert {kind for kinds in meanings.values() for kind in kinds} == set(terms.EVENT_TYPES)


@pytest.mark.parametrize("build", [_ga4, _ga4_export, _segment, _snowplow, _retail, _personalize])
def test_other_names_are_refused_with_those_that_are_known(build) -> None:
    with pytest.raises(InvalidEventError, match="page_view") as refusal:
        normalise(build("page_view"), 0)
    assert refusal.value.code == "unknown_event"
    assert "accepted: " in refusal.value.detail


def test_a_failed_transaction_is_not_a_purchase() -> None:
    with pytest.raises(InvalidEventError, match="not a purchase") as refusal:
        normalise(_snowplow("trns_error"), 0)
    assert refusal.value.code == "failed_transaction"


BUILDERS = (_ga4, _segment, _snowplow, _retail, _personalize, _personalize)
# Cells of the conventions that are prose or abbreviate a list of names.
SPELLED_OUT = {
    "Product Added / Removed": ["Product Added", "Product Removed"],
    "Checkout Started, Step Viewed/Completed, Payment Info Entered": [
        "Checkout Started",
        "Checkout Step Viewed",
        "Checkout Step Completed",
        "Payment Info Entered",
    ],
    "Order Refunded / Cancelled": ["Order Refunded", "Order Cancelled"],
    "Promotion Viewed / Clicked": ["Promotion Viewed", "Promotion Clicked"],
    "category-page-view / search": ["category-page-view", "search"],
    "promotion-offered / -not-offered": ["promotion-offered", "promotion-not-offered"],
    "`transaction` (`trns_error` on failure)": ["transaction"],
    "free type name / CartAddition": ["CartAddition"],
    "(site search)": [],
}


@pytest.mark.shared
def test_no_cell_of_the_conventions_is_left_out(shared_path: Path) -> None:
    section = (shared_path / "api.md").read_text(encoding="utf-8").split("## 3.")[1]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 11
    tried = 0
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        for build, cell in zip(BUILDERS, cells, strict=False):
            names = SPELLED_OUT.get(cell) or re.split(r", | / ", cell.replace("`", ""))
            for name in names if cell != "(site search)" else ():
                if name != "-":
                    assert normalise(build(name), 0).event_type in terms.EVENT_TYPES
                    tried += 1
    assert tried >= 50
