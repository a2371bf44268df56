"""From a request to an answer: state → query → pipeline → decision record → response."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import msgspec
from msgspec import UNSET, UnsetType

from feature_store.online.known import informed
from feature_store.online.state import VisitorState
from feature_store.online.visitor_draft import UNKNOWN
from recommender.catalogue import Catalogue
from recommender.discretion import without_sensitive
from recommender.draws import seed_of
from recommender.errors import DesirepathError, InvalidInputError
from recommender.exposures import NONE_IGNORED
from recommender.fatigue_note import Fatigue
from recommender.interleaving import START, DraftState, Interleaving, interleaved
from recommender.kinds import wanted_kinds
from recommender.merchandising.active import BoundRules
from recommender.merchandising.rules_file import DIVERSITY_LEVELS
from recommender.merchandising.trace import Move, Trace
from recommender.personalisation import strictest
from recommender.pipeline import explain, recommend
from recommender.placements import MAX_LIMIT, Placement
from recommender.query import Query
from recommender.rules import excluded_ids
from recommender.slate import Slate, SlateItem, SlateWay
from recommender.stage_table import staged
from recommender.terms import ITEM, OFF, STATIC, TO_CATEGORY, TO_SEARCH
from serving.asker import Asker
from serving.bundle_source import ServingModel
from serving.decisions import Decision, record_decision
from serving.errors import Problem
from serving.exchange import Exchange
from serving.experiments import Entry, cursor_after, entered
from serving.schemas import (
    Candidate,
    Explanation,
    FatigueExplanation,
    ItemProperties,
    PaceExplanation,
    Reason,
    RecommendationRequest,
    RecommendationResponse,
    RecommendedItem,
    RuleMove,
    TiredItem,
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
    """Answer one request in its turn. Raises as `answer` and `Turns.take`."""
    return await exchange.state.turns.take(lambda: answer(exchange, request, view))


def answer(
    exchange: Exchange, request: RecommendationRequest, view: View
) -> RecommendationResponse:
    """Answer one request.

    Raises
    ------
    Problem
        404: unknown placement; 422: the filter is not acceptable.
    """
    placement = placement_named(exchange, request.placement)
    return answer_at(exchange, request, view, placement, asker_of(exchange, request))


def asker_of(
    exchange: Exchange, request: RecommendationRequest, page_id: str | None = None
) -> Asker:
    """Look the shopper up."""
    state = exchange.state
    model, moment = state.models.current, state.clock()
    visitor, failure = _visitor(exchange, request, moment)
    return Asker(moment, model, visitor, failure, page_id)


def placement_named(exchange: Exchange, name: str) -> Placement:
    """The placement of that name. Raises `Problem` 404."""
    placements = exchange.state.placements
    if (placement := placements.get(name)) is not None:
        return placement
    known = ", ".join(sorted(placements))
    detail = f"Placement {name!a} is not known; there are: {known}."
    raise Problem(404, "unknown_placement", detail)


def answer_at(
    exchange: Exchange,
    request: RecommendationRequest,
    view: View,
    placement: Placement,
    asker: Asker,
) -> RecommendationResponse:
    """Answer a request of somebody known, and record it. Raises `Problem` 422; as `entered`."""
    state = exchange.state
    entry = entered(exchange, request, placement, asker)
    placement, asker = entry.placement, entry.asker
    decision_id = state.new_id()
    query = _entry_query(exchange, request, entry, decision_id)
    rules = state.rules.bound_to(asker.model.bundle)
    trace = Trace() if view.shows_explanation else None
    slate, degraded = slate_of(exchange, query, asker.model, placement, rules, trace)
    slate, drafted = _drafted(exchange, request, entry, decision_id, slate)
    decision = Decision(
        decision_id,
        asker.moment,
        request,
        query,
        slate,
        asker.model,
        asker.failure or degraded or entry.failure,
        asker.page_id,
        tuple(trace.moves) if trace else (),
        entry,
        drafted,
    )
    response = _response(decision, view, placement, exchange)
    if not request.dry_run:
        record_decision(exchange, decision)
        state.metrics.recommended(placement.name, slate.fallback_level)
    return response


def _entry_query(
    exchange: Exchange, request: RecommendationRequest, entry: Entry, decision_id: str
) -> Query:
    """The question as arms and earlier pages leave it, with its seed."""
    placement, asker = entry.placement, entry.asker
    query = query_of(exchange, request, placement, asker)
    query = at_stage_length(query, request, placement, asker)
    if entry.continues is not None:
        query = replace(query, exclude_items=query.exclude_items | entry.shown)
    return replace(query, seed=chance_of(decision_id, request, placement, exchange))


def _drafted(
    exchange: Exchange, request: RecommendationRequest, entry: Entry, decision_id: str, slate: Slate
) -> tuple[Slate, DraftState]:
    """The list with that of the other arm drafted into it, where an interleaving runs."""
    draft = entry.draft
    if draft is None:
        return slate, START
    other = replace(entry, placement=draft.placement, asker=replace(entry.asker, model=draft.model))

    def beside() -> Slate:
        query = _entry_query(exchange, request, other, decision_id)
        rules = exchange.state.rules.bound_to(draft.model.bundle)
        return slate_of(exchange, query, draft.model, draft.placement, rules)[0]

    seed = seed_of(draft.decision_id or decision_id)
    plan = Interleaving(draft.names, len(slate.items), seed, draft.state)
    return interleaved(slate, beside, plan)


def chance_of(
    decision_id: str, request: RecommendationRequest, placement: Placement, exchange: Exchange
) -> int | None:
    """The seed of an answer; None where nothing of it is left to chance.

    An answer to nobody in particular may lie in a cache and be shown to many: one draw would stand
    for all of them. One that is not recorded would be left to chance in vain.
    """
    is_named = request.visitor_id is not None or request.user_id is not None
    if not (is_named and exchange.state.settings.explore) or request.dry_run:
        return None
    is_idle = all(each.explore.is_idle for each in (placement, *placement.stage.values()))
    return None if is_idle else seed_of(decision_id)


def query_of(
    exchange: Exchange, request: RecommendationRequest, placement: Placement, asker: Asker
) -> Query:
    """The question to the pipeline.

    Nothing takes part when it is not known whether the shopper objects.
    """
    question = Query(
        at=moment_of(asker.moment),
        placement=placement.name,
        limit=min(request.limit or placement.limit, MAX_LIMIT),
        context_items=tuple(request.context.item_ids),
        cart_items=tuple(request.context.cart_item_ids),
        category=request.context.category,
        exclude_items=frozenset(request.exclude_item_ids),
        page_type=request.context.page_type,
        device=request.context.device,
        locale=request.context.locale,
        currency=request.context.currency,
        filter=msgspec.to_builtins(request.filter),
        diversity=_diversity(request),
        personalize=OFF if asker.failure else strictest(request.level, placement.personalize),
        kinds=None if request.kinds is None else tuple(request.kinds),
    )
    gap = timedelta(seconds=exchange.state.settings.session_gap_seconds)
    return informed(question, asker.visitor, gap)


def _diversity(request: RecommendationRequest) -> float | None:
    given = request.diversity
    return DIVERSITY_LEVELS[given] if isinstance(given, str) else given


def _visitor(
    exchange: Exchange, request: RecommendationRequest, moment: int
) -> tuple[VisitorState, str | None]:
    """Who asks; nobody where they may not be looked up or cannot be."""
    if request.level == OFF or (request.visitor_id is None and request.user_id is None):
        return UNKNOWN, None
    visitors = exchange.state.visitors
    try:
        return visitors.get(request.visitor_id or "", request.user_id, moment_of(moment)), None
    except DesirepathError:
        logger.exception("the online store failed", extra={"request_id": exchange.request_id})
        return UNKNOWN, "online_store_failed"


def at_stage_length(
    query: Query, request: RecommendationRequest, placement: Placement, asker: Asker
) -> Query:
    """The question for as long a list as the shopper's stage has; the caller's own limit stands."""
    if request.limit is not None or not placement.stage:
        return query
    bundle = asker.model.bundle
    own = staged(placement, without_sensitive(query, bundle.catalogue, placement), bundle)
    return replace(query, limit=own.limit)


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
    for attempt, degraded in _attempts(query, placement, model.bundle.catalogue):
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


def _attempts(
    query: Query, placement: Placement, catalogue: Catalogue
) -> Iterator[tuple[Query, str | None]]:
    """The query, then what is asked when that fails: nobody's, but without what is kept out."""
    yield query, None
    hidden = excluded_ids(query, placement, catalogue)
    yield (
        replace(
            query,
            history=(),
            session=(),
            cart_items=(),
            context_items=(),
            exposures=(),
            ignored_lists=NONE_IGNORED,
            exclude_items=hidden,
        ),
        "pipeline_failed",
    )


def static_slate(query: Query, placement: Placement) -> Slate:
    """The static list of a placement, without any model.

    What the caller or a rule keeps out is left out. Nothing is known about the items, so none
    meets an attribute filter.
    """
    hidden = excluded_ids(query, placement)
    most = placement.at_most.get(ITEM, query.limit) if ITEM in wanted_kinds(query, placement) else 0
    listed = () if query.filter else placement.static_items
    shown = [item for item in dict.fromkeys(listed) if item not in hidden]
    items = tuple(
        SlateItem(item_id, position, 1.0 / position, ITEM, STATIC, "featured", 1.0)
        for position, item_id in enumerate(shown[: min(query.limit, most)], start=1)
    )
    return Slate(items, STATIC, STATIC_POLICY, len(shown))


def _response(
    decision: Decision, view: View, placement: Placement, exchange: Exchange
) -> RecommendationResponse:
    slate, catalogue = decision.slate, decision.model.bundle.catalogue
    return RecommendationResponse(
        recommendation_id=decision.decision_id,
        items=[
            _way(entry, view) if isinstance(entry, SlateWay) else _item(entry, view, catalogue)
            for entry in slate.entries
        ],
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


def _item(item: SlateItem, view: View, catalogue: Catalogue) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id,
        rank=item.position,
        kind=item.kind,  # type: ignore[arg-type]
        reason=Reason(item.reason),
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
        reason=Reason(way.reason),
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
