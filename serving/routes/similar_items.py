"""Ask for items like the given ones."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from serving.answer import answered
from serving.endpoint import Endpoint
from serving.exchange import exchange_of, json_answer
from serving.reading import read_struct
from serving.routes.recommendations import view_of
from serving.schemas import RecommendationResponse, SimilarItemsRequest
from serving.security import SUGGEST


async def similar_items(request: Request) -> Response:
    """Items like the given ones, for a page or a mail; nothing about the shopper takes part."""
    asked = (await read_struct(request, SimilarItemsRequest)).as_recommendation()
    exchange = exchange_of(request)
    return json_answer(await answered(exchange, asked, view_of(exchange, asked)))


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/similar-items",
        similar_items,
        frozenset({SUGGEST}),
        "Ask for similar items",
        request=SimilarItemsRequest,
        response=RecommendationResponse,
        problems=(400, 404, 408, 422),
    ),
)
