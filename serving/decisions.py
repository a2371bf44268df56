"""The decision record: what was answered, by what, knowing how much, with what probability."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any

import msgspec

from feature_store.events import Scalar
from feature_store.records import DecisionItem, DecisionRecord, DecisionWay, ExploreRecord
from recommender.interleaving import START, DraftState
from recommender.merchandising.trace import Move
from recommender.query import Query
from recommender.slate import Explored, Slate, SlateItem
from recommender.stage import stage_of
from recommender.terms import FULL, OFF
from serving.bundle_source import ServingModel
from serving.exchange import Exchange
from serving.experiments import Entry
from serving.kept import MadeOnce, encoded
from serving.schemas import RecommendationRequest
from serving.static_list import STATIC_POLICY
from serving.subjects import ANONYMOUS, subject_key

NO_CHANCE = ExploreRecord()
_rounded = lru_cache(4096)(partial(round, ndigits=6))  # few: they go by the place in the list
_ENCODED_ITEMS: MadeOnce[msgspec.Raw] = MadeOnce()


class Decision(msgspec.Struct, frozen=True):
    """Everything that one answer was made from and came to.

    Parameters
    ----------
    moment
        Microseconds since the epoch, UTC.
    degraded_reason
        Why the answer is less personal than it could be; None where nothing failed.
    page_id
        Of the page whose answers were asked for together; None for a single one.
    moves
        What the shop's rules moved; only where an explanation is asked for.
    entry
        What experiments decided of it.
    drafted
        Where the draft of an interleaved list stands behind it.
    """

    decision_id: str
    moment: int
    request: RecommendationRequest
    query: Query
    slate: Slate
    model: ServingModel
    degraded_reason: str | None
    page_id: str | None
    moves: tuple[Move, ...]
    entry: Entry
    drafted: DraftState = START


def record_decision(exchange: Exchange, decision: Decision) -> None:
    """Hand the record to the operating system before the answer leaves, see `serving.records`."""
    records = exchange.state.records
    records.add(decision_record(exchange, decision))
    if not exchange.shares_turn:
        records.write()


def decision_record(exchange: Exchange, decision: Decision) -> DecisionRecord:
    """The record of one answer."""
    state, slate, request = exchange.state, decision.slate, decision.request
    subject_type, subject_key = _subject(exchange, decision)
    is_off = decision.query.personalize == OFF
    session_id = None if is_off else request.session_id
    return DecisionRecord(
        decision_id=decision.decision_id,
        request_id=exchange.request_id,
        ts_server=decision.moment,
        seq=0,  # the log sets both
        writer="",
        subject_key=subject_key,
        subject_type=subject_type,
        session_key=session_id and state.pseudonyms.of("session", session_id),
        surface=request.placement,
        policy_id=slate.policy,
        model_version=decision.model.version,
        config_digest=decision.model.bundle.manifest.info.config_digest,
        code_version=state.code_version,
        served_level=slate.fallback_level,
        items=_items(slate),
        eligible_count=slate.eligible_count,
        slate_propensity_log=_propensity_log(slate),
        consent=False if is_off else None,
        context=_context(request),
        attributes_used=_attributes(decision),
        session_mode=slate.pace.mode,
        session_mode_confidence=round(slate.pace.confidence, 4),
        filters=slate.filters,
        candidates=slate.candidates,
        explore=_explore(slate.explored),
        degraded_reason=decision.degraded_reason,
        rules_version=slate.rules_version,
        latency_ms=round(exchange.elapsed_ms, 3),
        fatigue=slate.fatigue.counts,
        page_key=decision.page_id,
        changed_share=slate.changed_share,
        ways=tuple(
            [DecisionWay(way.kind, way.position, way.propensity, way.target) for way in slate.ways]
        ),
        assignments=decision.entry.records,
        qa=decision.entry.qa,
        exposure=request.exposure,
        continues=continues.decision_id if (continues := decision.entry.continues) else None,
        drafted_with=draft.model.version if (draft := decision.entry.draft) else None,
    )


def _items(slate: Slate) -> Any:
    """What was suggested, encoded already where it is the same for many."""
    if slate.policy == STATIC_POLICY:
        return _ENCODED_ITEMS.of(slate.items, lambda items: encoded(_made(items)))
    return _made(slate.items)


def _propensity_log(slate: Slate) -> float:
    if slate.policy == STATIC_POLICY:  # nothing of it is left to chance
        return 0.0
    return math.fsum([math.log(each.propensity) for each in slate.entries if each.propensity != 1])


def _made(items: tuple[SlateItem, ...]) -> tuple[DecisionItem, ...]:
    return tuple(
        [
            DecisionItem(
                item_id,
                slot,
                propensity,
                source,
                promotion,
                kind,
                None if promised is None else _rounded(promised),
                team,
                competitive,
            )
            # All parts of an item at once: one by one they take three times as long.
            for (
                item_id,
                slot,
                _,
                kind,
                source,
                _,
                propensity,
                promotion,
                promised,
                team,
                competitive,
            ) in items
        ]
    )


def _explore(explored: Explored) -> ExploreRecord:
    settings = explored.settings
    if settings.is_idle:
        return NO_CHANCE
    return ExploreRecord(
        settings.scheme,
        settings.epsilon,
        settings.temperature,
        explored.seed,
        explored.slots,
        settings.gap,
        settings.reach,
    )


def _subject(exchange: Exchange, decision: Decision) -> tuple[str, str]:
    if decision.query.personalize == OFF:
        return ANONYMOUS, ""
    return subject_key(decision.request, exchange.state.pseudonyms)


def _context(request: RecommendationRequest) -> dict[str, Scalar | tuple[str, ...]]:
    context = request.context
    given: dict[str, Scalar | tuple[str, ...]] = {
        "page_type": context.page_type,
        "item_ids": tuple(context.item_ids),
        "query": context.query,
        "category": context.category,
        "device": context.device,
        "locale": context.locale,
        "currency": context.currency,
    }
    return {name: value for name, value in given.items() if value}


def _attributes(decision: Decision) -> dict[str, Scalar]:
    query = decision.query
    if query.personalize == OFF:
        return {}
    counts: dict[str, Scalar] = {
        "history": len(query.history),
        "session": len(query.session),
        "cart": len(query.cart_items),
        "personalize": query.personalize,
        "exposures": len(query.exposures),
    }
    if query.personalize != FULL:
        return counts
    usual = decision.model.bundle.usual_interval_seconds
    return counts | {"stage": stage_of(query.behaviour, decision.moment, usual)}
