"""The rules of our own event shape: named fields in, an `InteractionEvent` or a refusal out.

Every dialect is translated into this shape first, so the rules are written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from feature_store import event_values as values
from feature_store.event_values import refused
from feature_store.events import EventItem, InteractionEvent, content_id
from feature_store.personal_data import (
    is_personal_name,
    refuse_personal_names,
    refuse_personal_values,
)
from recommender import terms
from recommender.errors import InvalidEventError

MAX_ITEMS: Final = 200
# The answer's id comes back under the names that other recommenders gave it.
RECOMMENDATION_NAMES: Final = ("recommendation_id", "recommId", "attribution_token", "request_id")

NEEDS_ITEM: Final = frozenset(terms.INTERACTION_TYPES) - {terms.REFUND}

Parser = Callable[[object, str], object]

_ITEM_TEXTS = tuple(
    name
    for name in EventItem.__struct_fields__
    if name.startswith("item_") and name not in {"item_id", "item_list_id"}
)
_ITEM_PARSERS: Final[dict[str, Parser]] = {
    "item_id": values.parse_id,
    "item_list_id": values.parse_id,
    "index": values.parse_index,
    "price": values.parse_amount,
    "quantity": values.parse_quantity,
    "discount": values.parse_amount,
    "coupon": values.parse_text,
    **dict.fromkeys(_ITEM_TEXTS, values.parse_text),
    **dict.fromkeys(RECOMMENDATION_NAMES, values.parse_id),
}


def parse_items(value: object, field: str) -> tuple[EventItem, ...]:
    """The items of an event, in the order sent."""
    if not isinstance(value, list | tuple):
        raise refused("bad_items", field, value, f"a list of at most {MAX_ITEMS} objects")
    if len(value) > MAX_ITEMS:
        raise refused("too_many_items", field, value, f"at most {MAX_ITEMS} items; split the event")
    return tuple(_item(item, f"{field}[{number}]") for number, item in enumerate(value))


_PARSERS: Final[dict[str, Parser]] = {
    "event_id": values.parse_id,
    "event_type": values.parse_text,
    "ts": values.parse_ts,
    "visitor_id": values.parse_id,
    "user_id": values.parse_id,
    "session_id": values.parse_id,
    "items": parse_items,
    "currency": values.parse_currency,
    "value": values.parse_value,
    "transaction_id": values.parse_id,
    "search_term": values.parse_text,
    "placement": values.parse_id,
    "item_list_id": values.parse_id,
    "page_type": values.parse_text,
    "device": values.parse_text,
    "original_name": values.parse_text,
    "params": values.parse_params,
    "arrival_time": values.parse_flag,
    **dict.fromkeys(RECOMMENDATION_NAMES, values.parse_id),
}
FIELDS: Final = tuple(_PARSERS)


def build_event(fields: Mapping[str, object], received_at: int) -> InteractionEvent:
    """Check every field and the event as a whole.

    Parameters
    ----------
    fields
        Our own shape; null is the same as absent. ``event_type`` is canonical already.
    received_at
        Server time of arrival, microseconds since the epoch, UTC; the event's time where it has
        an ``event_id`` but no ``ts``.

    Raises
    ------
    InvalidEventError
        With the code of the first rule that is broken.
    """
    known = _parse(fields, _PARSERS, "")
    _require(known, "event_type", "visitor_id")
    _settle_ts(known, received_at)
    _settle_alias(known, "recommendation_id", RECOMMENDATION_NAMES)
    _settle_alias(known, "placement", ("placement", "item_list_id"))
    _hoist(known, "placement", "item_list_id")
    _hoist(known, "recommendation_id", "recommendation_id")
    _check_personal(known)
    event = InteractionEvent(event_id=str(known.pop("event_id", "")), **known)  # type: ignore[arg-type]
    _check_type(event)
    return event if event.event_id else replace(event, event_id=content_id(event))


def _parse(
    fields: Mapping[str, object], parsers: Mapping[str, Parser], prefix: str
) -> dict[str, object]:
    known: dict[str, object] = {}
    for name, value in fields.items():
        if name not in parsers:
            raise _unknown(name, value, parsers, prefix)
        if value is not None:
            known[name] = parsers[name](value, prefix + name)
    return known


def _unknown(
    name: object, value: object, parsers: Mapping[str, Parser], prefix: str
) -> InvalidEventError:
    if isinstance(name, str) and is_personal_name(name):
        refuse_personal_names({name: value})
    hint = "" if prefix else "; put anything else in params"
    return InvalidEventError(
        "unknown_field",
        f"{prefix}{values.shorten(name)} is not known; accepted: {', '.join(parsers)}{hint}",
    )


def _item(value: object, field: str) -> EventItem:
    if not isinstance(value, Mapping):
        raise refused("bad_items", field, value, "an object with item_id")
    known = _parse(value, _ITEM_PARSERS, f"{field}.")
    if "item_id" not in known:
        raise InvalidEventError("missing_field", f"{field}.item_id is missing; every item has one")
    _settle_alias(known, "recommendation_id", RECOMMENDATION_NAMES)
    return EventItem(**known)  # type: ignore[arg-type]


def _require(known: Mapping[str, object], *names: str) -> None:
    for name in names:
        if name not in known:
            raise InvalidEventError("missing_field", f"{name} is missing; every event has one")


def _settle_ts(known: dict[str, object], received_at: int) -> None:
    if "ts" in known:
        return
    if "event_id" not in known:
        # Without both, two looks at the same thing could not be told from one look sent twice.
        raise InvalidEventError("missing_field", "ts is missing; send ts, or at least an event_id")
    known["ts"], known["arrival_time"] = received_at, True


def _settle_alias(known: dict[str, object], name: str, aliases: tuple[str, ...]) -> None:
    given = [known.pop(alias) for alias in aliases if alias in known]
    if not given:
        return
    if len(set(given)) > 1:
        raise InvalidEventError(
            "conflicting_fields", f"{' and '.join(aliases)} differ; accepted: one of them"
        )
    known[name] = given[0]


def _hoist(known: dict[str, object], name: str, item_field: str) -> None:
    """Give the event what all of its items that say so agree on."""
    if name in known or "items" not in known:
        return
    said = {getattr(item, item_field) for item in known["items"]} - {None}  # type: ignore[attr-defined]
    if len(said) == 1:
        known[name] = said.pop()


def _check_personal(known: Mapping[str, object]) -> None:
    names = ("user_id", "visitor_id", "session_id", "search_term")
    refuse_personal_values((name, known.get(name)) for name in names)
    params = known.get("params")
    if isinstance(params, dict):
        refuse_personal_names(params)
        refuse_personal_values((f"params.{name!r:.60}", value) for name, value in params.items())


def _check_type(event: InteractionEvent) -> None:
    kind = event.event_type
    if kind not in terms.EVENT_CODES:
        raise refused("unknown_event", "event_type", kind, ", ".join(terms.EVENT_TYPES))
    if kind in NEEDS_ITEM and not event.items:
        raise InvalidEventError("missing_items", f"items is empty; {kind} needs at least one item")
    if kind == terms.REFUND and not event.items and event.transaction_id is None:
        raise InvalidEventError("missing_items", "refund needs items or a transaction_id")
    if kind == terms.SEARCH and not event.items and not event.search_term:
        raise InvalidEventError("missing_field", "search needs a search_term or the items found")
    if kind == terms.IDENTIFY and event.user_id is None:
        raise InvalidEventError("missing_field", "user_id is missing; identify needs one")
