"""OpenFeature Remote Evaluation Protocol: which arm is this shopper in. Pure look-ups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from recommender.assignment import NOT_RUNNING, Assignment, outside
from serving.assigning import assigned, subject_of
from serving.endpoint import Endpoint
from serving.errors import Problem
from serving.exchange import exchange_of, json_answer
from serving.experiment_source import LiveExperiment
from serving.ofrep_schemas import (
    BulkEvaluation,
    BulkEvaluationFailure,
    ErrorCode,
    EvaluationContext,
    EvaluationFailure,
    EvaluationRequest,
    FlagEvaluation,
    FlagMetadata,
    context_of,
)
from serving.reading import json_body, json_problem
from serving.security import SUGGEST
from serving.strict_json import StrictJsonError, parse, text_of

PATH = "/ofrep/v1/evaluate/flags"
EVALUATED = ("running", "paused")
_DISABLED, _SPLIT, _UNKNOWN = "DISABLED", "SPLIT", "UNKNOWN"


class _Failed(Exception):  # noqa: N818 - what the protocol calls it
    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


async def evaluate_flag(request: Request) -> Response:
    """The arm of one experiment, as the flag of that key.

    Nothing is recorded: what a shopper saw is in the answers to their recommendations.
    """
    key: str = request.path_params["key"]
    try:
        context = await _context(request)
    except _Failed as failed:
        return json_answer(EvaluationFailure(key, failed.code, failed.detail), 400)
    known = exchange_of(request).state.experiments.current.by_key
    live = known.get(key)
    if live is None or live.spec.status == "draft":
        detail = f"no experiment {key!a} has been started here"
        return json_answer(EvaluationFailure(key, "FLAG_NOT_FOUND", detail), 404)
    return json_answer(_evaluated(live, context, known))


async def evaluate_flags(request: Request) -> Response:
    """The arms of all experiments that run or pause, with an `ETag` for the next look."""
    try:
        _check_query(request)
        context = await _context(request)
    except _Failed as failed:
        return json_answer(BulkEvaluationFailure(failed.code, failed.detail), 400)
    known = exchange_of(request).state.experiments.current.by_key
    live = [each for each in known.values() if each.spec.status in EVALUATED]
    flags = [_evaluated(each, context, known) for each in live]
    content = msgspec.json.encode(BulkEvaluation(flags, {"experiments": len(flags)}))
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if _matches(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers={"ETag": etag})
    return Response(content, headers={"ETag": etag}, media_type="application/json")


def _evaluated(
    live: LiveExperiment, context: EvaluationContext, known: Mapping[str, LiveExperiment]
) -> FlagEvaluation:
    unit = live.spec.unit
    ids = {
        "visitor": context.visitor_id,
        "user": context.user_id,
        "session": context.session_id,
    }
    ids[unit] = ids[unit] or context.targeting_key
    found = assigned(live, subject_of(ids, {}), {}, context.attributes, known)
    if not live.spec.is_running:
        found = outside(live.experiment, NOT_RUNNING)
    return _flag(found)


def _flag(found: Assignment) -> FlagEvaluation:
    metadata = FlagMetadata(
        found.experiment.phase,
        found.in_experiment,
        found.reason,
        found.experiment.hash_version,
        msgspec.UNSET if found.bucket is None else found.bucket,
    )
    reason = _SPLIT if found.unit is not None else _UNKNOWN
    if found.reason == NOT_RUNNING:
        reason = _DISABLED
    return FlagEvaluation(found.experiment.key, found.variant, reason, found.variant, metadata)  # type: ignore[arg-type]


async def _context(request: Request) -> EvaluationContext:
    try:
        context, code, detail = context_of(parse(text_of(await json_body(request))))
    except StrictJsonError as error:
        raise _Failed("PARSE_ERROR", json_problem(error).detail) from error
    except Problem as problem:
        if problem.status != 415:
            raise
        raise _Failed("PARSE_ERROR", problem.detail) from problem
    if context is None:
        raise _Failed(code, detail)
    return context


def _check_query(request: Request) -> None:
    """Check what an event stream would have told; there is none here, so nothing follows."""
    raw = request.scope["query_string"].decode("latin-1")
    for name, value in parse_qsl(raw, keep_blank_values=True):
        if name == "flagConfigLastModified" and not _is_moment(value):
            detail = f"{name}={value[:64]!a}; accepted: seconds since the epoch, or a date-time"
            raise _Failed("INVALID_CONTEXT", detail)


def _is_moment(value: str) -> bool:
    if value.isascii() and value.isdigit():
        return True
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _matches(given: Iterable[str], etag: str) -> bool:
    tags = (tag.strip() for header in given for tag in header.split(","))
    return any(tag == "*" or tag.removeprefix("W/").strip('"') == etag.strip('"') for tag in tags)


_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "Key of an experiment.",
    "schema": {"type": "string"},
}
_HEADER = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "`ETag` of an earlier answer.",
    "schema": {"type": "string"},
}
ENDPOINTS = (
    Endpoint(
        "POST",
        PATH + "/{key:path}",
        evaluate_flag,
        frozenset({SUGGEST}),
        "The arm of one experiment, as OpenFeature asks",
        request=EvaluationRequest,
        params=(_KEY,),
        response=FlagEvaluation,
        problems=(408,),
        others=((400, EvaluationFailure), (404, EvaluationFailure)),
    ),
    Endpoint(
        "POST",
        PATH,
        evaluate_flags,
        frozenset({SUGGEST}),
        "The arms of all experiments, as OpenFeature asks",
        request=EvaluationRequest,
        params=(_HEADER,),
        response=BulkEvaluation,
        problems=(408,),
        others=((304, None), (400, BulkEvaluationFailure)),
    ),
)
