"""All lists of a page: one look at the shopper, one answer after the other."""

from __future__ import annotations

from serving.answer import answer_at, placement_named
from serving.exchange import Exchange
from serving.page_schemas import PageRequest, PageResponse
from serving.question import asker_of
from serving.response import View
from serving.schemas import RecommendationResponse


def page_answer(exchange: Exchange, request: PageRequest, view: View) -> PageResponse:
    """Answer all lists of a page: the shopper is looked up once, and no item stands in two lists.

    Raises
    ------
    Problem
        As `answer`, before any list is answered.
    """
    places = [placement_named(exchange, place.placement) for place in request.placements]
    page_id = exchange.state.new_id()
    asker, taken, answers = None, dict[str, None](), list[RecommendationResponse]()
    for place, placement in zip(request.placements, places, strict=True):
        asked = request.at(place, taken)
        asker = asker or asker_of(exchange, asked, page_id)
        response, items = answer_at(exchange, asked, view, placement, asker)
        answers.append(response)
        taken |= dict.fromkeys(each.item_id for each in items)
    return PageResponse(page_id, answers, round(exchange.elapsed_ms, 3))
