"""A visitor's state as an operator sees it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from feature_store.online.known import known_of
from feature_store.online.state import SESSION_GAP, VisitorState
from recommender.affinity import brand_affinity, brand_lookup
from recommender.bundle import ModelBundle
from recommender.stage import stage_of
from recommender.terms import FULL
from serving.schemas import (
    BrandAffinity,
    KnownExposure,
    KnownInteraction,
    KnownMark,
    KnownPreferences,
    KnownPurchase,
    VisitorResponse,
)

MAX_BRANDS = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def visitor_response(
    visitor_id: str,
    state: VisitorState,
    bundle: ModelBundle,
    moment: int,
    sensitive: Iterable[str] = (),
) -> VisitorResponse:
    """Everything known, newest first, and what follows from it at a moment (microseconds).

    The journal is the shopper's own: it says everything, also to who wants no personal answers.
    From what was done in sensitive categories nothing follows.
    """
    return VisitorResponse(
        visitor_id=visitor_id,
        user_id=state.user_id,
        first_seen=_moment(state.first_seen),
        last_seen=_moment(state.last_seen),
        stage=stage_of(state.behaviour, moment, bundle.usual_interval_seconds),  # type: ignore[arg-type]
        preferences=preferences_of(state),
        totals=state.totals,
        interactions=[
            KnownInteraction(each.item_id, each.event_type, rfc3339(each.ts))
            for each in reversed(state.recent)
        ],
        cart=state.cart_items,
        purchases=[
            KnownPurchase(item_id, each.times, rfc3339(each.last))
            for item_id, each in reversed(state.purchased_items.items())
        ],
        wish_list=_marks(state.wished_items),
        dismissed_item_ids=list(reversed(state.dismissed_items)),
        dismissed=_marks(state.dismissed_items),
        searches=[term for _, term in reversed(state.searches)],
        brand_affinity=_brands(state, bundle, moment, sensitive),
        exposures=[
            KnownExposure(item_id, len(times), rfc3339(times[-1]))
            for item_id, times in reversed(state.exposures.items())
        ],
    )


def preferences_of(state: VisitorState) -> KnownPreferences:
    """What the shopper wishes."""
    if state.preference is None:
        return KnownPreferences(FULL, None)
    return KnownPreferences(state.preference.level, rfc3339(state.preference.ts))  # type: ignore[arg-type]


def _marks(items: dict[str, int]) -> list[KnownMark]:
    return [KnownMark(item_id, rfc3339(ts)) for item_id, ts in reversed(items.items())]


def _brands(
    state: VisitorState, bundle: ModelBundle, moment: int, sensitive: Iterable[str]
) -> list[BrandAffinity]:
    known = known_of(
        msgspec.structs.replace(state, preference=None), moment_of(moment), SESSION_GAP
    )
    interactions = (*known.history, *known.session)
    scores = brand_affinity(interactions, brand_lookup(bundle.catalogue, sensitive), moment)
    strongest = list(scores.items())[:MAX_BRANDS]
    return [BrandAffinity(brand, round(score, 4)) for brand, score in strongest]


def moment_of(micros: int) -> datetime:
    """A moment in UTC, of microseconds since the epoch."""
    return EPOCH + timedelta(0, 0, micros)


def rfc3339(micros: int) -> str:
    """A moment as text, in UTC."""
    return moment_of(micros).isoformat().replace("+00:00", "Z")


def _moment(micros: int) -> str | None:
    return rfc3339(micros) if micros else None
