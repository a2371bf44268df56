"""From a request to an answer: state → query → pipeline → decision record → response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec
from msgspec import UNSET

from feature_store.online.known import Known, known_of
from recommender.catalogue import Catalogue
from recommender.errors import DesirepathError, InvalidInputError
from recommender.pipeline import explain, recommend
from recommender.placements import MAX_LIMIT, Placement
from recommender.query import NO_VISIT, Query
from recommender.rules import excluded_ids
from recommender.slate import Slate, SlateItem
from recommender.terms import STATIC
from serving.bundle_source import ServingModel
from serving.decisions import Decision, record_decision
from serving.errors import Problem
from serving.exchange import Exchange
from serving.schemas import (
    Candidate,
    Explanation,
    ItemProperties,
    PaceExplanation,
    Reason,
    RecommendationRequest,
    RecommendationResponse,
    RecommendedItem,
)
from serving.visitor_view import moment_of

logger = logging.getLogger(__name__)
STATIC_POLICY = "static"


@dataclass(frozen=True, slots=True)
class View:
    """How much of the answer this caller sees."""

    shows_scores: bool
    shows_explanation: bool
    shows_properties: bool


async def answered(
    exchange: Exchange, request: RecommendationRequest, view: View
) -> RecommendationResponse:
    """Answer one request in the thread that is kept for it, so that the event loop stays free.

    Measured with 100,000 items and 64 callers: inline, some connections starved for seconds.

    Raises
    ------
    Problem
        As `answer`; and 503 while too many wait for their turn.
    """
    state = exchange.state
    state.answers.enter()
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(state.answering, answer, exchange, request, view)
    finally:
        state.answers.leave()


def answer(
    exchange: Exchange, request: RecommendationRequest, view: View
) -> RecommendationResponse:
    """Answer one request.

    Raises
    ------
    Problem
        404: unknown placement; 422: the filter is not acceptable.
    """
    state = exchange.state
    model = state.models.current
    placement = state.placements.get(request.placement)
    if placement is None:
        known = ", ".join(sorted(state.placements))
        detail = f"Placement {request.placement!a} is not known; there are: {known}."
        raise Problem(404, "unknown_placement", detail)
    moment = state.clock()
    query, failure = _query(exchange, request, placement, moment)
    slate, degraded = _slate(exchange, query, model, placement)
    reason = failure or degraded
    decision = Decision(state.new_id(), moment, request, query, slate, model, reason)
    response = _response(decision, view, placement, exchange)
    if not request.dry_run:
        record_decision(exchange, decision)
        state.metrics.recommendations.labels(placement.name, slate.fallback_level).inc()
    return response


def _query(
    exchange: Exchange, request: RecommendationRequest, placement: Placement, moment: int
) -> tuple[Query, str | None]:
    known, failure = Known(), None
    if request.personalize:
        known, failure = _known(exchange, request, moment)
    query = Query(
        at=moment_of(moment),
        placement=placement.name,
        limit=min(request.limit or placement.limit, MAX_LIMIT),
        history=known.history,
        session=known.session,
        visit=known.visit,
        context_items=tuple(request.context.item_ids),
        cart_items=tuple(dict.fromkeys((*request.context.cart_item_ids, *known.cart_items))),
        category=request.context.category,
        exclude_items=frozenset(request.exclude_item_ids),
        filter=msgspec.to_builtins(request.filter),
        personalize=request.personalize,
    )
    return query, failure


def _known(
    exchange: Exchange, request: RecommendationRequest, moment: int
) -> tuple[Known, str | None]:
    if request.visitor_id is None and request.user_id is None:
        return Known(), None
    state = exchange.state
    at = moment_of(moment)
    try:
        found = state.visitors.get(request.visitor_id or "", request.user_id, at)
        return known_of(found, at, timedelta(seconds=state.settings.session_gap_seconds)), None
    except DesirepathError:
        logger.exception("the online store failed", extra={"request_id": exchange.request_id})
        return Known(), "online_store_failed"


def _slate(
    exchange: Exchange, query: Query, model: ServingModel, placement: Placement
) -> tuple[Slate, str | None]:
    """The pipeline's answer; when it fails, the impersonal one, then the static list."""
    if not model.is_loaded:
        return static_slate(query, placement), "no_model"
    state = exchange.state
    for attempt, degraded in _attempts(query, placement):
        try:
            return recommend(attempt, model.bundle, placement, state.policy), degraded
        except InvalidInputError as error:
            raise Problem(422, "invalid_filter", f"{error}") from error
        except Exception:
            # A valid request is always answered: the next rung, and an alarm in the log.
            logger.exception("the pipeline failed", extra={"request_id": exchange.request_id})
    return static_slate(query, placement), "pipeline_failed"


def _attempts(query: Query, placement: Placement) -> Iterator[tuple[Query, str | None]]:
    """The query, then what is asked when that fails: nobody's, but without what is kept out."""
    yield query, None
    hidden = excluded_ids(query, placement)
    impersonal = replace(
        query, history=(), session=(), visit=NO_VISIT, cart_items=(), context_items=()
    )
    yield replace(impersonal, exclude_items=hidden), "pipeline_failed"


def static_slate(query: Query, placement: Placement) -> Slate:
    """The static list of a placement, without any model.

    What the caller or a rule keeps out is left out. Nothing is known about the items, so none
    meets an attribute filter.
    """
    hidden = excluded_ids(query, placement)
    listed = () if query.filter else placement.static_items
    shown = [item for item in dict.fromkeys(listed) if item not in hidden]
    items = tuple(
        SlateItem(item_id, position, 1.0 / position, "item", STATIC, "featured", 1.0)
        for position, item_id in enumerate(shown[: query.limit], start=1)
    )
    return Slate(items, STATIC, STATIC_POLICY, len(shown))


def _response(
    decision: Decision, view: View, placement: Placement, exchange: Exchange
) -> RecommendationResponse:
    slate, catalogue = decision.slate, decision.model.bundle.catalogue
    return RecommendationResponse(
        recommendation_id=decision.decision_id,
        items=[_item(item, view, catalogue) for item in slate.items],
        placement=placement.name,
        policy=slate.policy,
        model_version=decision.model.version,
        session_mode=slate.pace.mode,  # type: ignore[arg-type]
        session_mode_confidence=round(slate.pace.confidence, 4),
        fallback_level=slate.fallback_level,  # type: ignore[arg-type]
        explanation=_explanation(decision, placement) if view.shows_explanation else UNSET,
        took_ms=round(exchange.elapsed_ms, 3),
    )


def _item(item: SlateItem, view: View, catalogue: Catalogue) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id,
        rank=item.position,
        kind=item.kind,
        reason=Reason(item.reason),
        score=item.score if view.shows_scores else UNSET,
        properties=_properties(item.item_id, catalogue) if view.shows_properties else UNSET,
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


def _explanation(decision: Decision, placement: Placement) -> Explanation:
    slate, parts = decision.slate, []
    if decision.model.is_loaded:
        parts = explain(decision.query, decision.model.bundle, placement)
    return Explanation(
        eligible_count=slate.eligible_count,
        filters=dict(slate.filters),
        candidates=[Candidate(item_id, sources) for item_id, sources in parts],
        pace=_pace_explanation(decision),
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
