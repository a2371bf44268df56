"""Envelopes in which other systems send several events at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feature_store.dialects.reading import Raw

# Field that holds the events; the other fields belong to each of them.
_LISTS: Final = ("events", "batch", "eventList", "requests")
_NOT_SHARED: Final = ("api_key", "apiKey", "writeKey", "trackingId", "historical_migration")
_PAYLOAD: Final = "payload_data"


def split_batch(raw: object) -> list[object]:
    """The single events of an envelope, in order; any other value is its own only event.

    Known are the envelopes of the GA4 Measurement Protocol (``events``), Segment and PostHog
    (``batch``), Personalize (``eventList``), Recombee (``requests``) and Snowplow trackers
    (``payload_data``). A Personalize event with an ``impression`` list is two events: what was
    shown, then what was done.
    """
    if not isinstance(raw, Mapping):
        return [raw]
    for name in _LISTS:
        if isinstance(raw.get(name), list | tuple):
            return _shared(raw, name)
    schema = raw.get("schema")
    is_payload = isinstance(schema, str) and _PAYLOAD in schema
    if is_payload and isinstance(raw.get("data"), list | tuple):
        return list(raw["data"])
    return _with_impression(raw)


def _shared(raw: Raw, name: str) -> list[object]:
    shared = {key: value for key, value in raw.items() if key not in (name, *_NOT_SHARED)}
    events: list[object] = []
    for event in raw[name]:  # type: ignore[attr-defined]
        merged = {**shared, **event} if isinstance(event, Mapping) else event
        events += _with_impression(merged) if isinstance(merged, Mapping) else [merged]
    return events


def _with_impression(raw: Raw) -> list[object]:
    kind, shown = raw.get("eventType"), raw.get("impression")
    if "eventType" not in raw or kind == "impression" or not isinstance(shown, list | tuple):
        return [raw]
    event = {key: value for key, value in raw.items() if key != "impression"}
    impression = {
        key: value for key, value in raw.items() if key not in ("itemId", "eventValue", "eventId")
    }
    if isinstance(raw.get("eventId"), str):
        impression["eventId"] = f"{raw['eventId']}/impression"
    return [{**impression, "eventType": "impression"}, event] if shown else [event]
