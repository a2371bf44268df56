"""A shopper's state, wherever the online store is."""

from __future__ import annotations

from datetime import datetime

from feature_store.online.state import VisitorState
from recommender.errors import StorageError
from recommender.terms import OFF
from serving.exchange import Exchange
from serving.page_schemas import PageRequest
from serving.schemas import RecommendationRequest
from serving.state import ServiceState


async def look_up(exchange: Exchange, asked: RecommendationRequest | PageRequest) -> None:
    """Look up who asks, for `serving.question.asker_of`, before their turn comes."""
    lookup = exchange.state.lookup
    if lookup is not None and asked.personalize not in (False, OFF):
        exchange.found = await lookup.find(asked.visitor_id, asked.user_id)


async def shopper(
    state: ServiceState, visitor_id: str, user_id: str | None, at: datetime
) -> VisitorState:
    """What is known of a shopper. Raises `StorageError`."""
    if state.lookup is None:
        return state.visitors.get(visitor_id, user_id, at)
    found = await state.lookup.find(visitor_id, user_id)
    if found is None or found.failure:
        raise StorageError("the online store does not answer")
    return state.visitors.known(visitor_id, user_id, found.raw, at)
