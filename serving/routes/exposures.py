"""Confirm what came into view: on disk before the answer leaves."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from feature_store.event_values import parse_ts
from feature_store.records import ExposureRecord, VisibleItem
from feature_store.verdicts import ACCEPTED, DUPLICATE, REJECTED, Verdict
from recommender.errors import InvalidEventError, StorageError, StorageFullError
from serving.endpoint import JSON, Endpoint
from serving.errors import storage_problem
from serving.exchange import exchange_of, json_answer
from serving.experiment_schemas import ExposureReport, ExposuresRequest, ExposuresResponse
from serving.limits import EVENT_TYPES, check_content_type
from serving.reading import struct_of, whole_body
from serving.schemas import RejectedEvent
from serving.security import WRITE, authorise
from serving.state import ServiceState


async def confirm_exposures(request: Request) -> Response:
    """Confirm which items of an answer came into view.

    Each is on disk before the answer leaves, and counts once however often it is sent. One that is
    not acceptable never sinks the others.
    """
    check_content_type(request, EVENT_TYPES)
    exchange = exchange_of(request)
    state = exchange.state
    body = await whole_body(request)
    asked = struct_of(body, ExposuresRequest)
    if not exchange.caller.scopes:  # a beacon: no key in its headers
        exchange.caller = authorise(state.keys.find(asked.api_key), {WRITE})
    return json_answer(_report(state, await _stored(state, asked.exposures)), 202)


async def _stored(state: ServiceState, reports: list[ExposureReport]) -> list[Verdict]:
    views = [_record(each) for each in reports]
    try:
        future = state.intake.submit(views, [b""] * len(views))
        return await asyncio.wrap_future(future)
    except StorageFullError as error:
        state.metrics.storage_full.inc()
        raise storage_problem(error) from error
    except StorageError as error:
        raise storage_problem(error) from error


def _record(report: ExposureReport) -> ExposureRecord | InvalidEventError:
    try:
        seen = None if report.ts is None else parse_ts(report.ts, "ts")
    except InvalidEventError as error:
        return error
    view = report.viewport
    return ExposureRecord(
        exposure_id=report.exposure_id,
        decision_id=report.recommendation_id,
        items_visible=tuple(VisibleItem(each.item_id, each.slot) for each in report.items),
        ts_server=0,  # the log sets these three
        seq=0,
        writer="",
        ts_client=seen,
        viewport=None if view is None else (view.width, view.height),
    )


def _report(state: ServiceState, verdicts: list[Verdict]) -> ExposuresResponse:
    counts = dict.fromkeys((ACCEPTED, DUPLICATE, REJECTED), 0)
    for verdict in verdicts:
        counts[verdict.status] += 1
    for status, count in counts.items():
        state.metrics.exposures.labels(status).inc(count)
    rejected = [
        RejectedEvent(index, verdict.code or REJECTED, verdict.detail or "")
        for index, verdict in enumerate(verdicts)
        if verdict.status == REJECTED
    ]
    return ExposuresResponse(counts[ACCEPTED], counts[DUPLICATE], rejected)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/exposures",
        confirm_exposures,
        frozenset({WRITE}),
        "Confirm what came into view",
        request=ExposuresRequest,
        media_types=(JSON, "text/plain"),
        response=ExposuresResponse,
        status=202,
        problems=(400, 408, 422, 507),
        takes_beacons=True,
    ),
)
