"""From a request to the question: who asks, what is known of them, what is left to chance."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec

from feature_store.online.known import known_of, said_of
from feature_store.online.state import VisitorState
from feature_store.online.visitor_draft import UNKNOWN
from recommender.discretion import without_sensitive
from recommender.draws import seed_of
from recommender.errors import DesirepathError
from recommender.merchandising.rules_file import DIVERSITY_LEVELS
from recommender.patience import ENDLESS, Patience
from recommender.personalisation import strictest
from recommender.placements import MAX_LIMIT, Placement
from recommender.query import Query
from recommender.stage_table import staged
from recommender.terms import OFF
from serving.asker import Asker
from serving.exchange import Exchange
from serving.experiments import Entry
from serving.schemas import (
    RecommendationRequest,
)
from serving.visitor_view import moment_of

logger = logging.getLogger(__name__)
_gap = lru_cache(1)(lambda seconds: timedelta(seconds=seconds))


def asker_of(
    exchange: Exchange, request: RecommendationRequest, page_id: str | None = None
) -> Asker:
    """Look the shopper up."""
    state = exchange.state
    model, moment = state.models.current, state.clock()
    at = moment_of(moment)
    visitor, failure = _visitor(exchange, request, at)
    return Asker(moment, at, model, visitor, failure, page_id)


def entry_query(
    exchange: Exchange, request: RecommendationRequest, entry: Entry, decision_id: str
) -> Query:
    """The question as arms and earlier pages leave it, with its seed."""
    placement, asker = entry.placement, entry.asker
    is_chosen = asker.model.is_loaded  # else there is nothing to choose from
    seed = chance_of(decision_id, request, placement, exchange) if is_chosen else None
    query = query_of(exchange, request, placement, asker, seed)
    query = at_stage_length(query, request, placement, asker)
    if entry.continues is not None:
        return query.but(exclude_items=query.exclude_items | entry.shown)
    return query


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
    is_idle = placement.explore.is_idle and all(
        each.explore.is_idle for each in placement.stage.values()
    )
    return None if is_idle else seed_of(decision_id)


def query_of(
    exchange: Exchange,
    request: RecommendationRequest,
    placement: Placement,
    asker: Asker,
    seed: int | None = None,
) -> Query:
    """The question to the pipeline, with its seed.

    Nothing takes part when it is not known whether the shopper objects.
    """
    page = request.context
    level = OFF if asker.failure else strictest(request.level, placement.personalize)
    gap = _gap(exchange.state.settings.session_gap_seconds)
    return Query(
        at=asker.at,
        placement=placement.name,
        limit=min(request.limit or placement.limit, MAX_LIMIT),
        context_items=tuple(page.item_ids),
        category=page.category,
        exclude_items=frozenset(request.exclude_item_ids),
        page_type=page.page_type,
        device=page.device,
        locale=page.locale,
        currency=page.currency,
        filter=msgspec.to_builtins(request.filter),
        diversity=_diversity(request),
        kinds=None if request.kinds is None else tuple(request.kinds),
        seed=seed,
        patience=patience_of(exchange, request),
        **said_of(known_of(asker.visitor, asker.at, gap, level), tuple(page.cart_item_ids)),
    )


def patience_of(exchange: Exchange, request: RecommendationRequest) -> Patience:
    """The caller's deadline, from the arrival of the request: what waits in a queue waits, too."""
    deadline = request.deadline_ms
    return ENDLESS if deadline is None else Patience(lambda: exchange.elapsed_ms >= deadline)


def at_stage_length(
    query: Query, request: RecommendationRequest, placement: Placement, asker: Asker
) -> Query:
    """The question for as long a list as the shopper's stage has; the caller's own limit stands."""
    if request.limit is not None or not placement.stage:
        return query
    bundle = asker.model.bundle
    own = staged(placement, without_sensitive(query, bundle.catalogue, placement), bundle)
    return query.but(limit=own.limit)


def _visitor(
    exchange: Exchange, request: RecommendationRequest, at: datetime
) -> tuple[VisitorState, str | None]:
    """Who asks; nobody where they may not be looked up or cannot be."""
    if request.level == OFF or (request.visitor_id is None and request.user_id is None):
        return UNKNOWN, None
    visitors, who, found = exchange.state.visitors, request.visitor_id or "", exchange.found
    if found is not None and found.failure:
        return UNKNOWN, found.failure
    try:
        if found is not None:
            return visitors.known(who, request.user_id, found.raw, at), None
        return visitors.get(who, request.user_id, at), None
    except DesirepathError:
        logger.exception("the online store failed", extra={"request_id": exchange.request_id})
        return UNKNOWN, "online_store_failed"


def _diversity(request: RecommendationRequest) -> float | None:
    given = request.diversity
    return DIVERSITY_LEVELS[given] if isinstance(given, str) else given
