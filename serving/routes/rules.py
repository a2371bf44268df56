"""The shop's rules: those in use, and others on trial. Nothing here puts rules in use."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from serving.endpoint import Endpoint
from serving.errors import Problem
from serving.exchange import exchange_of, json_answer
from serving.openapi import query_parameters
from serving.reading import params_of, read_struct
from serving.rule_schemas import (
    RulesResponse,
    RulesTrialParams,
    RulesTrialRequest,
    RulesTrialResponse,
)
from serving.rule_trial import tried
from serving.security import ADMIN


async def rules(request: Request) -> Response:
    """The shop's rules in use, and why a newer file was refused, if one was."""
    source = exchange_of(request).state.rules
    current = source.current
    return json_answer(RulesResponse(current.rules.version, current.text, source.refusal))


async def try_rules(request: Request) -> Response:
    """Try rules on a question: the list under those in use, and under these.

    They are read, checked and asked, never put in use and never recorded: rules come into use by
    the file that the service watches.
    """
    if params_of(request, RulesTrialParams).dry_run != "true":
        detail = "dry_run=false; accepted: true. Rules come into use by the service's rules file."
        raise Problem(422, "dry_run_only", detail)
    asked = await read_struct(request, RulesTrialRequest)
    return json_answer(await tried(exchange_of(request), asked))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/rules",
        rules,
        frozenset({ADMIN}),
        "The shop's rules in use",
        response=RulesResponse,
    ),
    Endpoint(
        "POST",
        "/v1/rules",
        try_rules,
        frozenset({ADMIN}),
        "Try rules on a question",
        request=RulesTrialRequest,
        params=query_parameters(RulesTrialParams),
        response=RulesTrialResponse,
        problems=(400, 404, 408, 422),
    ),
)
