"""What the log says of an experiment: how its arms are doing, and who was in which."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from feature_store.experiment_export import export_page
from feature_store.experiment_health import ExperimentHealth
from feature_store.experiment_health import experiment_health as health_of
from feature_store.experiment_health_job import UNKNOWN
from feature_store.layout import StoreLayout
from recommender.errors import DataError, InvalidInputError, StorageError
from serving.endpoint import Endpoint
from serving.errors import Problem
from serving.exchange import exchange_of
from serving.openapi import query_parameters
from serving.reading import params_of
from serving.schemas import Asked
from serving.security import ADMIN

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
NDJSON = "application/x-ndjson"
HEALTH_SECONDS = 60.0
# Read here, in a thread: quicker than a process starts. A larger log would slow answers down.
SMALL_LOG_BYTES = 2_000_000
MOST_ROWS = 5_000
# About a tenth of a second of one thread; a page of a rare experiment may be empty.
MOST_RECORDS = 20_000
_JOB = "feature_store.experiment_health_job"


class ExperimentHealthParams(Asked, frozen=True):
    """Which phase to look at; the last one unless it is named."""

    phase: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


class ExperimentExportParams(Asked, frozen=True):
    """Which page to give."""

    cursor: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = MOST_ROWS
    format: Literal["ndjson", "parquet"] = "ndjson"


async def experiment_health(request: Request) -> Response:
    """How a running experiment is doing, from the log alone.

    Subjects, answers, fallback and error share and p95 per arm, the sample ratio, repeated records,
    late events, and events that name an answer which the log does not have. A log that is
    not small is read by a process of its own, one at a time.
    """
    params, key = params_of(request, ExperimentHealthParams), _key(request)
    exchange = exchange_of(request)
    exchange.state.looks.enter()
    try:
        return await asyncio.to_thread(_look, exchange.state.settings.layout, key, params.phase)
    finally:
        exchange.state.looks.leave()


async def experiment_export(request: Request) -> Response:
    """Who was in which arm when, one JSON object on a line per answer.

    `timestamp`, `experiment_id`, `variation_id`, `subject_id`: what experiment tools take as an
    assignment table. Ask again with the header `X-Next-Cursor` as `cursor` while `X-More` is
    `true`; a page may be empty. The cursor stays good, for what comes later as well. Parquet is
    written by `desirepath experiment export`.
    """
    params, key = params_of(request, ExperimentExportParams), _key(request)
    if params.format == "parquet":
        detail = (
            f"The service writes JSON lines; run `desirepath experiment export {key} --to "
            f"{key}.parquet` beside the log for Parquet."
        )
        raise Problem(406, "no_such_format", detail)
    layout = exchange_of(request).state.settings.layout
    page = (layout, key, params.cursor, params.limit, MOST_RECORDS)
    try:
        found = await asyncio.to_thread(export_page, *page)
    except InvalidInputError as error:
        raise Problem(422, "invalid_value", f"{error}") from error
    except StorageError as error:
        raise _not_read(type(error).__name__) from error
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in found.rows)
    more = "false" if found.is_end else "true"
    headers = {"X-Next-Cursor": found.cursor, "X-More": more, "Cache-Control": "no-store"}
    return Response(lines, headers=headers, media_type=NDJSON)


def _look(layout: StoreLayout, key: str, phase: int | None) -> Response:
    look = _here if _log_bytes(layout) <= SMALL_LOG_BYTES else _in_a_child
    found = look(layout, key, phase)
    return Response(found, headers={"Cache-Control": "no-store"}, media_type="application/json")


def _log_bytes(layout: StoreLayout) -> int:
    return sum(path.stat().st_size for path in layout.log.glob("*.seg"))


def _here(layout: StoreLayout, key: str, phase: int | None) -> bytes:
    try:
        return msgspec.json.encode(health_of(layout, key, phase))
    except DataError as error:
        raise Problem(404, "unknown_experiment", f"{error}") from error
    except StorageError as error:
        raise _not_read(type(error).__name__) from error


def _in_a_child(layout: StoreLayout, key: str, phase: int | None) -> bytes:
    root = str(layout.root.resolve())
    words = [sys.executable, "-m", _JOB, root, key, *([] if phase is None else [str(phase)])]
    try:
        done = subprocess.run(words, capture_output=True, timeout=HEALTH_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_read(f"{type(error).__name__}") from error
    if done.returncode == UNKNOWN:
        raise Problem(404, "unknown_experiment", done.stdout.decode("utf-8", "replace"))
    if done.returncode != 0:
        raise _not_read(f"exit code {done.returncode}")
    return done.stdout


def _not_read(why: str) -> Problem:
    return Problem(503, "log_not_read", f"The log could not be read: {why}.", retry_after=30)


def _key(request: Request) -> str:
    key = str(request.path_params["key"])
    if not KEY.fullmatch(key):
        raise Problem(422, "invalid_value", "key; accepted: letters, digits, and . _ - inside.")
    return key


_KEY_PARAMETER = {
    "name": "key",
    "in": "path",
    "required": True,
    "description": "Key of the experiment.",
    "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
}
ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/experiments/{key}/health",
        experiment_health,
        frozenset({ADMIN}),
        "How an experiment is doing",
        params=(_KEY_PARAMETER, *query_parameters(ExperimentHealthParams)),
        response=ExperimentHealth,
        problems=(400, 404, 422),
    ),
    Endpoint(
        "GET",
        "/v1/experiments/{key}/export",
        experiment_export,
        frozenset({ADMIN}),
        "Who was in which arm when",
        params=(_KEY_PARAMETER, *query_parameters(ExperimentExportParams)),
        text_type=NDJSON,
        problems=(400, 406, 422),
    ),
)
