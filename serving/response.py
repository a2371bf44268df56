"""From a decision to what the caller sees of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from recommender.catalogue import Catalogue
from recommender.fatigue_note import Fatigue
from recommender.merchandising.trace import Move
from recommender.pipeline import explain
from recommender.placements import Placement
from recommender.slate import Slate, SlateItem, SlateWay
from recommender.terms import TO_CATEGORY, TO_SEARCH
from serving.decisions import Decision
from serving.exchange import Exchange
from serving.experiments import cursor_after
from serving.kept import MadeOnce, encoded
from serving.schemas import (
    Candidate,
    Explanation,
    FatigueExplanation,
    ItemProperties,
    PaceExplanation,
    Reason,
    RecommendationResponse,
    RecommendedItem,
    RuleMove,
    TiredItem,
)
from serving.static_list import STATIC_POLICY

_reason = lru_cache(1024)(Reason)
# A static list is the same for all who may see as much of it.
_SCORED: MadeOnce[msgspec.Raw] = MadeOnce()
_UNSCORED: MadeOnce[msgspec.Raw] = MadeOnce()


class View(msgspec.Struct, frozen=True):
    """How much of the answer this caller sees."""

    shows_scores: bool
    shows_explanation: bool
    shows_properties: bool


def response_of(
    decision: Decision, view: View, placement: Placement, exchange: Exchange
) -> RecommendationResponse:
    """The answer, with as much of it as this caller may see."""
    slate, catalogue = decision.slate, decision.model.bundle.catalogue
    return RecommendationResponse(
        recommendation_id=decision.decision_id,
        items=_entries(slate, view, catalogue),
        placement=placement.name,
        policy=slate.policy,
        model_version=decision.model.version,
        session_mode=slate.pace.mode,  # type: ignore[arg-type]
        session_mode_confidence=round(slate.pace.confidence, 4),
        fallback_level=slate.fallback_level,  # type: ignore[arg-type]
        explanation=_explanation(decision, placement, exchange)
        if view.shows_explanation
        else UNSET,
        took_ms=round(exchange.elapsed_ms, 3),
        assignments=list(decision.entry.views),
        next_cursor=_next_cursor(decision, exchange),
        reason="suppressed" if slate.fatigue.is_suppressed else UNSET,
        late=True if decision.query.patience.skipped else UNSET,
    )


def _next_cursor(decision: Decision, exchange: Exchange) -> str | UnsetType:
    slate = decision.slate
    if not slate.items or slate.eligible_count <= len(slate.items):
        return UNSET
    shown = [item.item_id for item in slate.items]
    cursor = cursor_after(
        exchange, decision.request, decision.entry, decision.decision_id, shown, decision.drafted
    )
    return cursor or UNSET


def _entries(slate: Slate, view: View, catalogue: Catalogue) -> Any:
    """What is suggested, encoded already where it is the same for many."""
    if slate.policy != STATIC_POLICY or view.shows_properties:
        return _made(slate, view, catalogue)
    kept = _SCORED if view.shows_scores else _UNSCORED
    return kept.of(slate.items, lambda _: encoded(_made(slate, view, catalogue)))


def _made(slate: Slate, view: View, catalogue: Catalogue) -> list[RecommendedItem]:
    return [
        _way(entry, view) if isinstance(entry, SlateWay) else _item(entry, view, catalogue)
        for entry in slate.entries
    ]


def _item(item: SlateItem, view: View, catalogue: Catalogue) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id,
        rank=item.position,
        kind=item.kind,  # type: ignore[arg-type]
        reason=_reason(item.reason),
        promotion=UNSET if item.promotion is None else item.promotion,
        score=item.score if view.shows_scores else UNSET,
        properties=_properties(item.item_id, catalogue) if view.shows_properties else UNSET,
    )


def _way(way: SlateWay, view: View) -> RecommendedItem:
    return RecommendedItem(
        category=way.target or UNSET if way.kind == TO_CATEGORY else UNSET,
        query=way.target or UNSET if way.kind == TO_SEARCH else UNSET,
        rank=way.position,
        kind=way.kind,  # type: ignore[arg-type]
        reason=_reason(way.reason),
        score=way.score if view.shows_scores else UNSET,
    )


def _properties(item_id: str, catalogue: Catalogue) -> ItemProperties:
    index = catalogue.ids.index(item_id)
    if index is None:
        return ItemProperties(None, None, None, None)
    return ItemProperties(
        title=catalogue.titles[index] or None,
        category=catalogue.category_of(index),
        brand=catalogue.brand_of(index),
        price=catalogue.price_of(index),
    )


def moves_of(moves: Iterable[Move], catalogue: Catalogue, limit: int) -> list[RuleMove]:
    """What rules moved within a list of this length, into it or out of it."""
    return [
        RuleMove(move.rule, catalogue.ids.id(move.item_idx), move.from_position, move.to_position)
        for move in moves
        if min(move.from_position or limit + 1, move.to_position or limit + 1) <= limit
    ]


def _explanation(decision: Decision, placement: Placement, exchange: Exchange) -> Explanation:
    slate, parts = decision.slate, []
    if decision.model.is_loaded:
        rules = exchange.state.rules.bound_to(decision.model.bundle)
        parts = explain(decision.query, decision.model.bundle, placement, rules)
    return Explanation(
        eligible_count=slate.eligible_count,
        filters=dict(slate.filters),
        candidates=[Candidate(item_id, sources) for item_id, sources in parts],
        fatigue=_fatigue(slate.fatigue),
        rules_version=slate.rules_version,
        rules=moves_of(decision.moves, decision.model.bundle.catalogue, decision.query.limit),
        pace=_pace_explanation(decision),
        acceptance={
            item.item_id: round(item.acceptance, 6)
            for item in slate.items
            if item.acceptance is not None
        },
        changed_share=slate.changed_share,
    )


def _pace_explanation(decision: Decision) -> PaceExplanation:
    slate, asked = decision.slate, decision.query.limit
    return PaceExplanation(
        mode=slate.pace.mode,
        confidence=round(slate.pace.confidence, 4),
        steps=slate.pace.steps,
        features=slate.pace.positions(),
        asked=asked,
        given=slate.style.limit(asked),
        novelty_at_least=slate.style.novelty_at_least,
        novelty_at_most=slate.style.novelty_at_most,
    )


def _fatigue(fatigue: Fatigue) -> FatigueExplanation:
    items = [
        TiredItem(each.item_id, each.ignored, each.discount, each.before, each.after, each.cap)
        for each in fatigue.changes
    ]
    return FatigueExplanation(fatigue.acted, fatigue.gain, items)
