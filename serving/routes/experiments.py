"""Experiments: what they are and were, their change, and who is in which arm."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from feature_store.experiment_change import StoredExperiment, created, revised
from feature_store.experiment_spec import ExperimentSpec, check_key
from recommender.errors import ConfigError, ConflictError, InvalidInputError, StorageError
from serving.assigning import assigned, assignment_view, attributes_of, record_of, subject_of
from serving.endpoint import Endpoint
from serving.errors import Problem, storage_problem
from serving.exchange import Exchange, exchange_of, json_answer
from serving.experiment_schemas import (
    AssignmentsRequest,
    AssignmentsResponse,
    ExperimentResponse,
    SubjectToAssign,
)
from serving.experiment_source import LiveExperiment
from serving.reading import read_struct
from serving.schemas import AssignmentView
from serving.security import ADMIN, SUGGEST


async def experiment(request: Request) -> Response:
    """An experiment and all that it ever was. Its `ETag` belongs into the next change."""
    exchange, key = exchange_of(request), _key(request)
    try:
        stored = await asyncio.to_thread(exchange.state.experiments.folder.read, key)
    except ConfigError as error:
        raise Problem(409, "experiment_unreadable", f"{error}") from error
    if stored is None:
        raise Problem(404, "unknown_experiment", f"There is no experiment {key}.")
    return _answer(exchange, stored)


async def put_experiment(request: Request) -> Response:
    """Make an experiment, or change one: start, pause, stop it, give its arms other weights.

    A change needs `If-Match` with the `ETag` of what is changed. What decides who gets which arm is
    frozen once it has run. Every state stays in the history. All workers follow within 5 seconds.
    """
    exchange, key = exchange_of(request), _key(request)
    spec = await read_struct(request, ExperimentSpec)
    matches = request.headers.getlist("if-match")
    by, at = exchange.caller.name, exchange.state.clock()

    def change(stored: StoredExperiment | None) -> StoredExperiment:
        _check_match(stored, matches)
        return created(key, spec, by, at) if stored is None else revised(stored, spec, by, at)

    try:
        stored = await asyncio.to_thread(exchange.state.experiments.change, key, change)
    except ConflictError as error:
        raise Problem(409, "experiment_conflict", f"{error}") from error
    except InvalidInputError as error:
        raise Problem(422, "invalid_value", f"{error}") from error
    except StorageError as error:
        raise storage_problem(error) from error
    return _answer(exchange, stored)


async def assignments(request: Request) -> Response:
    """Which arms up to 1,000 subjects are in. A pure look-up: nobody counts as exposed."""
    asked = await read_struct(request, AssignmentsRequest)
    live = exchange_of(request).state.experiments.current
    if asked.experiments is None:
        chosen = [each for each in live.by_key.values() if each.spec.is_running]
    else:
        chosen = [_known(name, live.by_key) for name in dict.fromkeys(asked.experiments)]
    work = asyncio.to_thread(lambda: [_assigned(s, chosen, live.by_key) for s in asked.subjects])
    return json_answer(AssignmentsResponse(await work))


def _assigned(
    asked: SubjectToAssign, chosen: list[LiveExperiment], known: Mapping[str, LiveExperiment]
) -> list[AssignmentView]:
    ids = {"visitor": asked.visitor_id, "user": asked.user_id, "session": asked.session_id}
    subject = subject_of(ids, asked.remembered)
    attributes = attributes_of(asked.context)
    found = [assigned(each, subject, {}, attributes, known) for each in chosen]
    return [assignment_view(record_of(each, "", lambda *_: ""), each) for each in found]


def _known(name: str, live: Mapping[str, LiveExperiment]) -> LiveExperiment:
    if (found := live.get(name)) is None:
        shown = ", ".join(live) or "none"
        raise Problem(422, "unknown_experiment", f"No experiment {name!a}; there are: {shown}.")
    return found


def _check_match(stored: StoredExperiment | None, matches: list[str]) -> None:
    tags = [tag.strip() for header in matches for tag in header.split(",")]
    if stored is None:
        if tags:
            raise Problem(412, "etag_mismatch", "If-Match is given, and there is nothing to match.")
        return
    if not tags:
        detail = "A change needs If-Match with the ETag of what is changed; GET gives it."
        raise Problem(428, "if_match_required", detail)
    if stored.etag not in tags:
        detail = f"It has been changed meanwhile and is {stored.etag} now; read it again."
        raise Problem(412, "etag_mismatch", detail)


def _answer(exchange: Exchange, stored: StoredExperiment) -> Response:
    current = stored.current
    answer = ExperimentResponse(
        stored.key,
        stored.etag,
        current.number,
        current.phase,
        current.spec,
        list(stored.revisions),
        exchange.state.experiments.refused.get(stored.key),
    )
    return json_answer(answer, headers={"ETag": stored.etag})


def _key(request: Request) -> str:
    try:
        return check_key(request.path_params["key"])
    except InvalidInputError as error:
        raise Problem(422, "invalid_value", f"{error}") from error


_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "Key of an experiment.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"},
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "`ETag` of what is changed; needed unless the experiment is new.",
    "schema": {"type": "string"},
}
ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/experiments/{key}",
        experiment,
        frozenset({ADMIN}),
        "An experiment and its history",
        params=(_KEY,),
        response=ExperimentResponse,
        problems=(404, 409, 422),
    ),
    Endpoint(
        "PUT",
        "/v1/experiments/{key}",
        put_experiment,
        frozenset({ADMIN}),
        "Make or change an experiment",
        request=ExperimentSpec,
        params=(_KEY, _IF_MATCH),
        response=ExperimentResponse,
        problems=(400, 408, 409, 412, 422, 428, 507),
    ),
    Endpoint(
        "POST",
        "/v1/assignments",
        assignments,
        frozenset({SUGGEST}),
        "Which arms subjects are in",
        request=AssignmentsRequest,
        response=AssignmentsResponse,
        problems=(400, 408, 422),
    ),
)
