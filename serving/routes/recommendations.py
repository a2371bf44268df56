"""Ask for suggestions: the full question by POST, the cacheable one by GET."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from serving.answer import answer, answered
from serving.endpoint import Endpoint
from serving.errors import Problem
from serving.exchange import Exchange, exchange_of, json_answer
from serving.openapi import query_parameters
from serving.page_answer import page_answer
from serving.page_schemas import PageRequest, PageResponse
from serving.reading import json_body, params_of, read_struct, struct_of
from serving.response import View
from serving.schemas import (
    RecommendationParams,
    RecommendationRequest,
    RecommendationResponse,
)
from serving.security import SUGGEST
from serving.shopper import look_up


async def recommend(request: Request) -> Response:
    """Suggestions for a visitor, a page or a cart.

    A valid request is always answered; `fallback_level` says how personal the answer is. Unknown
    visitors and items are normal.
    """
    exchange = exchange_of(request)
    asked, view = _read(exchange, await json_body(request))
    return json_answer(await answered(exchange, asked, view))


def _prepared(exchange: Exchange, body: bytes) -> Callable[[], Response]:
    asked, view = _read(exchange, body)
    return lambda: json_answer(answer(exchange, asked, view))


def _read(exchange: Exchange, body: bytes) -> tuple[RecommendationRequest, View]:
    asked = struct_of(body, RecommendationRequest)
    return asked, view_of(exchange, asked)


async def recommend_cacheable(request: Request) -> Response:
    """Suggestions as a plain GET.

    Without `visitor_id` the answer is the same for everybody and may be cached; one
    `recommendation_id` then stands for all who get it from the cache.
    """
    params = params_of(request, RecommendationParams)
    exchange = exchange_of(request)
    # No scores: a cache gives one answer to all keys.
    view = View(
        shows_scores=False,
        shows_explanation=False,
        shows_properties=params.return_properties == "true",
    )
    result = await answered(exchange, params.as_recommendation(), view)
    cached = "no-store" if result.late else _cache_control(exchange, params)
    return json_answer(result, headers={"Cache-Control": cached})


async def recommend_page(request: Request) -> Response:
    """Suggestions for all lists of a page in one call.

    The shopper is looked up once, no item stands in two lists, and each list is an answer of its
    own with its own `recommendation_id`.
    """
    asked = await read_struct(request, PageRequest)
    exchange = exchange_of(request)
    view = view_of(exchange, asked)
    await look_up(exchange, asked)
    return json_answer(await exchange.state.turns.take(lambda: page_answer(exchange, asked, view)))


def view_of(exchange: Exchange, asked: RecommendationRequest | PageRequest) -> View:
    """What the caller may see. Raises `Problem` 403 where a browser key asks for more."""
    is_browser = exchange.caller.is_browser
    if is_browser and (asked.explain or asked.dry_run or asked.user_id):
        detail = "'explain', 'dry_run' and 'user_id' are not for browser keys; ask from a server."
        raise Problem(403, "not_for_browsers", detail)
    return View(
        shows_scores=not is_browser,
        shows_explanation=asked.explain,
        shows_properties=asked.return_properties,
    )


def _cache_control(exchange: Exchange, params: RecommendationParams) -> str:
    if params.visitor_id is not None:
        return "no-store"
    return f"public, max-age={exchange.state.settings.anonymous_max_age_seconds}"


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/recommendations",
        recommend,
        frozenset({SUGGEST}),
        "Ask for suggestions",
        request=RecommendationRequest,
        response=RecommendationResponse,
        problems=(400, 404, 408, 410, 422),
        prepare=_prepared,
    ),
    Endpoint(
        "POST",
        "/v1/recommendations/page",
        recommend_page,
        frozenset({SUGGEST}),
        "Ask for all lists of a page",
        request=PageRequest,
        response=PageResponse,
        problems=(400, 404, 408, 410, 422),
    ),
    Endpoint(
        "GET",
        "/v1/recommendations",
        recommend_cacheable,
        frozenset({SUGGEST}),
        "Ask for suggestions, cacheable",
        params=query_parameters(RecommendationParams),
        response=RecommendationResponse,
        problems=(400, 404, 410, 422),
    ),
)
