"""From a request to an answer: state → query → pipeline → decision record → response."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from msgspec import structs

from recommender.catalogue import Catalogue
from recommender.draws import seed_of
from recommender.errors import InvalidInputError
from recommender.exposures import NONE_IGNORED
from recommender.interleaving import START, DraftState, Interleaving, interleaved
from recommender.merchandising.active import BoundRules
from recommender.merchandising.trace import Trace
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.query import Query
from recommender.rules import excluded_ids
from recommender.slate import Slate, SlateItem
from serving.asker import Asker
from serving.bundle_source import ServingModel
from serving.decisions import Decision, record_decision
from serving.errors import Problem
from serving.exchange import Exchange
from serving.experiments import Entry, entered
from serving.question import asker_of, entry_query
from serving.response import View, response_of
from serving.schemas import (
    RecommendationRequest,
    RecommendationResponse,
)
from serving.shopper import look_up
from serving.static_list import static_slate

logger = logging.getLogger(__name__)
LATE = "deadline"


async def answered(
    exchange: Exchange, request: RecommendationRequest, view: View
) -> RecommendationResponse:
    """Answer one request in its turn. Raises as `answer` and `Turns.take`."""
    await look_up(exchange, request)
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
    return answer_at(exchange, request, view, placement, asker_of(exchange, request))[0]


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
) -> tuple[RecommendationResponse, tuple[SlateItem, ...]]:
    """Answer a request of somebody known, and record it. Raises `Problem` 422; as `entered`.

    Returns
    -------
    tuple
        The answer, and the items in it.
    """
    state = exchange.state
    entry = entered(exchange, request, placement, asker)
    placement, asker = entry.placement, entry.asker
    decision_id = state.new_id()
    query = entry_query(exchange, request, entry, decision_id)
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
        asker.failure or degraded or entry.failure or (LATE if query.patience.skipped else None),
        asker.page_id,
        tuple(trace.moves) if trace else (),
        entry,
        drafted,
    )
    response = response_of(decision, view, placement, exchange)
    if not request.dry_run:
        record_decision(exchange, decision)
        state.metrics.recommended(placement.name, slate.fallback_level)
    return response, slate.items


def _drafted(
    exchange: Exchange, request: RecommendationRequest, entry: Entry, decision_id: str, slate: Slate
) -> tuple[Slate, DraftState]:
    """The list with that of the other arm drafted into it, where an interleaving runs."""
    draft = entry.draft
    if draft is None:
        return slate, START
    asker = structs.replace(entry.asker, model=draft.model)
    other = structs.replace(entry, placement=draft.placement, asker=asker)

    def beside() -> Slate:
        query = entry_query(exchange, request, other, decision_id)
        rules = exchange.state.rules.bound_to(draft.model.bundle)
        return slate_of(exchange, query, draft.model, draft.placement, rules)[0]

    seed = seed_of(draft.decision_id or decision_id)
    plan = Interleaving(draft.names, len(slate.items), seed, draft.state)
    return interleaved(slate, beside, plan)


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
        query.but(
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
