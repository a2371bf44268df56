"""Amazon Personalize events and Recombee interactions: camel-case ids, one item each.

Formats: https://docs.aws.amazon.com/personalize/latest/dg/API_UBS_PutEvents.html and
https://docs.recombee.com/api (a batch request names the interaction by its path).
"""

from __future__ import annotations

from typing import Final

from feature_store.dialects.names import NAMES, PERSONALIZE, RECOMBEE, name_fields
from feature_store.dialects.reading import (
    Fields,
    Raw,
    first,
    inner,
    number,
    recommendation,
    scalars,
    text_id,
)

_PATHS: Final = {
    "/detailviews/": "DetailView",
    "/bookmarks/": "Bookmark",
    "/cartadditions/": "CartAddition",
    "/purchases/": "Purchase",
}
_TAKEN: Final = (
    "eventType",
    "eventId",
    "eventValue",
    "itemId",
    "userId",
    "sessionId",
    "trackingId",
    "sentAt",
    "timestamp",
    "recommendationId",
    "recommId",
    "amount",
    "price",
    "impression",
    "cascadeCreate",
    "currency",
)


def matches(raw: Raw) -> bool:
    """True for the marks of a Personalize event or a Recombee interaction."""
    return "eventType" in raw or is_request(raw)


def is_request(raw: Raw) -> bool:
    """True for one request of a Recombee batch."""
    return "path" in raw and "params" in raw


def translate(raw: Raw) -> Fields:
    """An event as fields of our own shape."""
    if is_request(raw):
        path = raw["path"]
        known = _PATHS.get(path, path) if isinstance(path, str) else path
        return _interaction(RECOMBEE, known, inner(raw, "params"))
    name = raw.get("eventType")
    is_recombee = isinstance(name, str) and name not in NAMES[PERSONALIZE]
    dialect = RECOMBEE if is_recombee and name in NAMES[RECOMBEE] else PERSONALIZE
    return _interaction(dialect, name, raw)


def _interaction(dialect: str, name: object, event: Raw) -> Fields:
    user = text_id(first(event, "userId"))
    return {
        **name_fields(dialect, name),
        "event_id": text_id(first(event, "eventId", "event_id")),
        "ts": first(event, "sentAt", "timestamp"),
        # Both know users, anonymous or not, by one id; Personalize may know a session only.
        "visitor_id": user if user is not None else text_id(first(event, "sessionId")),
        "user_id": user,
        "session_id": text_id(first(event, "sessionId")),
        "items": _items(event),
        "currency": first(event, "currency"),
        "value": number(first(event, "eventValue")),
        "recommendation_id": text_id(first(event, "recommendationId")) or recommendation(event),
        "params": scalars(event, _TAKEN),
    }


def _items(event: Raw) -> object:
    shown = event.get("impression")
    if event.get("eventType") == "impression" and isinstance(shown, list | tuple):
        return [{"item_id": text_id(item)} for item in shown]
    if first(event, "itemId") is None:
        return []
    return [
        {
            "item_id": text_id(event["itemId"]),
            "quantity": number(first(event, "amount")),
            "price": number(first(event, "price")),
        }
    ]
