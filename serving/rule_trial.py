"""Rules on trial: read, checked and asked one question, beside those in use."""

from __future__ import annotations

from recommender.errors import ConfigError
from recommender.merchandising.active import bind
from recommender.merchandising.findings import findings
from recommender.merchandising.rules_file import parse_rules
from recommender.merchandising.trace import Trace
from recommender.slate import Slate
from serving.answer import placement_named, slate_of
from serving.errors import Problem
from serving.exchange import Exchange
from serving.question import asker_of, at_stage_length, query_of
from serving.response import moves_of
from serving.rule_schemas import RulesTrialRequest, RulesTrialResponse, TriedItem
from serving.shopper import look_up


async def tried(exchange: Exchange, asked: RulesTrialRequest) -> RulesTrialResponse:
    """The list under the rules in use and under these. Raises `Problem` as an answer does.

    Raises
    ------
    Problem
        422: the rules have faults; all of them are told.
    """
    await look_up(exchange, asked.request)
    return await exchange.state.turns.take(lambda: _tried(exchange, asked))


def _tried(exchange: Exchange, asked: RulesTrialRequest) -> RulesTrialResponse:
    state = exchange.state
    try:
        rules = parse_rules(asked.rules, state.placements)
    except ConfigError as error:
        raise Problem(422, "invalid_rules", f"{error}") from error
    placement = placement_named(exchange, asked.request.placement)
    asker = asker_of(exchange, asked.request)
    model, query = asker.model, query_of(exchange, asked.request, placement, asker)
    query = at_stage_length(query, asked.request, placement, asker)
    catalogue, trace = model.bundle.catalogue, Trace()
    in_use = state.rules.bound_to(model.bundle)
    before, _ = slate_of(exchange, query, model, placement, in_use)
    after, _ = slate_of(exchange, query, model, placement, bind(rules, catalogue), trace)
    return RulesTrialResponse(
        version=rules.version,
        findings=findings(rules, state.placements, catalogue),
        before=_items(before),
        after=_items(after),
        moves=moves_of(trace.moves, catalogue, query.limit),
    )


def _items(slate: Slate) -> list[TriedItem]:
    return [TriedItem(item.item_id, item.position, item.promotion) for item in slate.items]
