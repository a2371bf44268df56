"""Events as shops send them, in whatever dialect, turned into the one canonical event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from feature_store.dialects import ga4, personalize, retail, segment, snowplow
from feature_store.dialects.batches import split_batch
from feature_store.dialects.names import GA4, PERSONALIZE, RETAIL, SEGMENT, SNOWPLOW, own_name
from feature_store.dialects.reading import Fields, Raw
from feature_store.event_rules import build_event
from feature_store.event_values import refused
from feature_store.events import InteractionEvent
from feature_store.personal_data import refuse_personal_names
from recommender import terms
from recommender.errors import InvalidEventError

__all__ = ["normalise", "split_batch"]

# Order matters: enriched Snowplow events have an `event_name`, Retail ones an `eventType`.
_FOREIGN: Final[dict[str, tuple[Callable[[Raw], bool], Callable[[Raw], Fields]]]] = {
    SNOWPLOW: (snowplow.matches, snowplow.translate),
    GA4: (ga4.matches, ga4.translate),
    SEGMENT: (segment.matches, segment.translate),
    RETAIL: (retail.matches, retail.translate),
    PERSONALIZE: (personalize.matches, personalize.translate),  # and Recombee
}


def normalise(raw: object, received_at: int, dialect: str | None = None) -> InteractionEvent:
    """One event in any accepted dialect, checked.

    Parameters
    ----------
    raw
        A decoded JSON value. Our own shape has an ``event_type``; the others are told by their
        marks (see ``docs/events.md``).
    received_at
        Server time of arrival, microseconds since the epoch, UTC. The event's time where it has an
        id but no time; nothing else depends on it.
    dialect
        Read it as this foreign dialect (a key of `names.NAMES`) instead of looking for marks.

    Raises
    ------
    InvalidEventError
        For anything that is not exactly one acceptable event; no other error, whatever the value.
    """
    if not isinstance(raw, Mapping):
        raise refused("bad_event", "event", raw, "a JSON object")
    return build_event(_translate(raw, dialect), received_at)


def _translate(raw: Raw, dialect: str | None) -> Fields:
    if dialect is not None:
        refuse_personal_names(raw)
        return _FOREIGN[dialect][1](raw)
    if "event_type" in raw:
        return _own(raw)
    parts = split_batch(raw)
    if len(parts) != 1 or not isinstance(parts[0], Mapping):
        raise InvalidEventError("batch", f"{len(parts)} events in one; accepted: one at a time")
    event = parts[0]
    for matches, translate in _FOREIGN.values():
        if matches(event):
            refuse_personal_names(event)
            return translate(event)
    return dict(event)  # the rules say which field of our own shape is missing


def _own(raw: Raw) -> Fields:
    kind = raw["event_type"]
    if not isinstance(kind, str) or kind in terms.EVENT_CODES:
        return dict(raw)
    return {**raw, **own_name(kind)}
