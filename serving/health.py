"""Is the process alive, can it serve, and what does it count: for orchestrators and monitors."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from recommender.discretion import unknown_categories
from serving.endpoint import Endpoint
from serving.exchange import exchange_of, json_answer
from serving.schemas import LiveResponse, ReadyResponse
from serving.security import ADMIN, PUBLIC, SUGGEST
from serving.state import ServiceState
from serving.telemetry import METRICS_TYPE


async def live(request: Request) -> Response:  # noqa: ARG001 - the signature of a route
    """The process answers. Depends on nothing, so a restart is never asked for in vain."""
    return json_answer(LiveResponse("alive"))


async def ready(request: Request) -> Response:
    """Whether a rung of the ladder can serve: 503 while none can, or while the process stops."""
    probe = readiness(exchange_of(request).state)
    return json_answer(probe, 200 if probe.status == "ready" else 503)


async def metrics(request: Request) -> Response:
    """Prometheus metrics of all workers. No label ever holds an id or a key."""
    return Response(exchange_of(request).state.metrics.render(), media_type=METRICS_TYPE)


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(request.app.openapi())


def readiness(state: ServiceState) -> ReadyResponse:
    """What the readiness probe says, and the warnings that do not stop it."""
    model = state.models.current
    static = any(placement.static_items for placement in state.placements.values())
    can_serve = bool(model.items) or static
    warnings = []
    if state.models.refusal:
        warnings.append("the delivered bundle is refused; the log says why")
    if state.rules.refusal:
        warnings.append("the changed rules file is refused; the log says why")
    if state.experiments.refused or state.experiments.models.refused:
        warnings.append("an experiment or the bundle of an arm is refused; the log says why")
    if not model.is_loaded:
        warnings.append("no model is loaded")
    elif unknown_categories(state.placements.values(), model.bundle.catalogue):
        warnings.append("the model has no items in a sensitive category; `rules check` names it")
    warnings += _online_warnings(state)
    if state.is_draining:
        warnings.append("the process is stopping")
    return ReadyResponse(
        status="ready" if can_serve and not state.is_draining else "not_ready",
        model_version=model.version,
        items=model.items,
        warnings=warnings,
    )


def _online_warnings(state: ServiceState) -> list[str]:
    warnings = []
    if state.lookup is not None and state.lookup.breaker.is_open:
        warnings.append("the online store does not answer; answers are less personal")
    if state.follower is not None and state.follower.counts.behind:
        warnings.append("events wait in the log for the online store")
    return warnings


ENDPOINTS = (
    Endpoint("GET", "/health/live", live, PUBLIC, "Liveness", response=LiveResponse),
    Endpoint(
        "GET",
        "/health/ready",
        ready,
        PUBLIC,
        "Readiness",
        response=ReadyResponse,
        same_shape=(503,),
    ),
    Endpoint("GET", "/metrics", metrics, frozenset({SUGGEST, ADMIN}), "Prometheus metrics"),
    Endpoint("GET", "/openapi.json", openapi, PUBLIC, "OpenAPI document"),
)
