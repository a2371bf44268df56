"""Confirm what came into view: on disk before the answer leaves."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from feature_store.event_values import parse_ts
from feature_store.records import ExposureRecord, VisibleItem
from feature_store.verdicts import ACCEPTED, DUPLICATE
from recommender.errors import InvalidEventError
from serving.endpoint import JSON, Endpoint
from serving.exchange import exchange_of, json_answer
from serving.experiment_schemas import ExposureReport, ExposuresRequest, ExposuresResponse
from serving.limits import EVENT_TYPES, check_content_type
from serving.reading import struct_of, whole_body
from serving.security import WRITE
from serving.stored import authorise_beacon, counted, refused, stored


async def confirm_exposures(request: Request) -> Response:
    """Confirm which items of an answer came into view.

    Each is on disk before the answer leaves, and counts once however often it is sent. One that is
    not acceptable never sinks the others.
    """
    check_content_type(request.scope["headers"], EVENT_TYPES)
    exchange = exchange_of(request)
    state = exchange.state
    body = await whole_body(request)
    asked = struct_of(body, ExposuresRequest)
    authorise_beacon(exchange, asked.api_key)
    views = [_record(each) for each in asked.exposures]
    verdicts = await stored(state, views, [b""] * len(views))
    counts = counted(verdicts, state.metrics.exposures)
    rejected = refused(verdicts, range(len(verdicts)))
    return json_answer(ExposuresResponse(counts[ACCEPTED], counts[DUPLICATE], rejected), 202)


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
