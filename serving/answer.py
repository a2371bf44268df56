"""From a request to an answer: state → query → pipeline → decision record → response."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar, TypeVarTuple

import msgspec
from msgspec import UNSET

from feature_store.online.known import Known, known_of
from recommender.catalogue import Catalogue
from recommender.errors import DesirepathError, InvalidInputError
from recommender.merchandising.active import BoundRules
from recommender.merchandising.rules_file import DIVERSITY_LEVELS
from recommender.merchandising.trace import Move, Trace
from recommender.pipeline import explain, recommend
from recommender.placements import MAX_LIMIT, Placement
from recommender.query import Query
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
    Reason,
    RecommendationRequest,
    RecommendationResponse,
    RecommendedItem,
    RuleMove,
)
from serving.visitor_view import moment_of

logger = logging.getLogger(__name__)
STATIC_POLICY = "static"
Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


@dataclass(frozen=True, slots=True)
class View:
    """How much of the answer this caller sees."""

    shows_scores: bool
    shows_explanation: bool
    shows_properties: bool


async def answered(
    exchange: Exchange, request: RecommendationRequest, view: View
) -> RecommendationResponse:
    """Answer one request in its turn. Raises `Problem` as `answer` and `in_turn`."""
    return await in_turn(exchange, answer, exchange, request, view)


async def in_turn(
    exchange: Exchange, work: Callable[[*Arguments], Result], *arguments: *Arguments
) -> Result:
    """Do work in the thread that is kept for the pipeline, so that the event loop stays free.

    Measured with 100,000 items and 64 callers: inline, some connections starved for seconds.

    Raises
    ------
    Problem
        503 while too many wait for their turn.
    """
    state = exchange.state
    state.answers.enter()
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(state.answering, work, *arguments)
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
    placement = placement_of(exchange, request)
    moment = state.clock()
    query, failure = query_of(exchange, request, placement, moment)
    rules = state.rules.bound_to(model.bundle)
    trace = Trace() if view.shows_explanation else None
    slate, degraded = slate_of(exchange, query, model, placement, rules, trace)
    moves = tuple(trace.moves) if trace else ()
    decision = Decision(
        state.new_id(), moment, request, query, slate, model, failure or degraded, moves
    )
    response = _response(decision, view, placement, exchange)
    if not request.dry_run:
        record_decision(exchange, decision)
        state.metrics.recommendations.labels(placement.name, slate.fallback_level).inc()
    return response


def placement_of(exchange: Exchange, request: RecommendationRequest) -> Placement:
    """The placement that a request names. Raises `Problem` 404."""
    placements = exchange.state.placements
    if (placement := placements.get(request.placement)) is None:
        known = ", ".join(sorted(placements))
        detail = f"Placement {request.placement!a} is not known; there are: {known}."
        raise Problem(404, "unknown_placement", detail)
    return placement


def query_of(
    exchange: Exchange, request: RecommendationRequest, placement: Placement, moment: int
) -> tuple[Query, str | None]:
    """The question to the pipeline, and what failed when the shopper was looked up."""
    known, failure = Known(), None
    if request.personalize:
        known, failure = _known(exchange, request, moment)
    query = Query(
        at=moment_of(moment),
        placement=placement.name,
        limit=min(request.limit or placement.limit, MAX_LIMIT),
        history=known.history,
        session=known.session,
        context_items=tuple(request.context.item_ids),
        cart_items=tuple(dict.fromkeys((*request.context.cart_item_ids, *known.cart_items))),
        category=request.context.category,
        exclude_items=frozenset(request.exclude_item_ids),
        page_type=request.context.page_type,
        device=request.context.device,
        locale=request.context.locale,
        currency=request.context.currency,
        filter=msgspec.to_builtins(request.filter),
        diversity=_diversity(request),
        personalize=request.personalize,
    )
    return query, failure


def _diversity(request: RecommendationRequest) -> float | None:
    given = request.diversity
    return DIVERSITY_LEVELS[given] if isinstance(given, str) else given


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


def slate_of(
    exchange: Exchange,
    query: Query,
    model: ServingModel,
    placement: Placement,
    rules: BoundRules,
    trace: Trace | None = None,
) -> tuple[Slate, str | None]:
    """The pipeline's answer; when it fails, the impersonal one, then the static list.

    Raises
    ------
    Problem
        422: the filter is not acceptable.
    """
    if not model.is_loaded:
        return static_slate(query, placement), "no_model"
    state = exchange.state
    for attempt, degraded in _attempts(query, placement):
        try:
            slate = recommend(attempt, model.bundle, placement, state.policy, rules, trace)
        except InvalidInputError as error:
            raise Problem(422, "invalid_filter", f"{error}") from error
        except Exception:
            # A valid request is always answered: the next rung, and an alarm in the log.
            logger.exception("the pipeline failed", extra={"request_id": exchange.request_id})
            if trace:
                trace.moves.clear()
        else:
            return slate, degraded
    return static_slate(query, placement), "pipeline_failed"


def _attempts(query: Query, placement: Placement) -> Iterator[tuple[Query, str | None]]:
    """The query, then what is asked when that fails: nobody's, but without what is kept out."""
    yield query, None
    hidden = excluded_ids(query, placement)
    impersonal = replace(query, history=(), session=(), cart_items=(), context_items=())
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
        session_mode="unknown",
        fallback_level=slate.fallback_level,  # type: ignore[arg-type]
        explanation=_explanation(decision, placement, exchange)
        if view.shows_explanation
        else UNSET,
        took_ms=round(exchange.elapsed_ms, 3),
    )


def _item(item: SlateItem, view: View, catalogue: Catalogue) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id,
        rank=item.position,
        kind=item.kind,
        reason=Reason(item.reason),
        promotion=UNSET if item.promotion is None else item.promotion,
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
        rules_version=slate.rules_version,
        rules=moves_of(decision.moves, decision.model.bundle.catalogue, decision.query.limit),
    )
