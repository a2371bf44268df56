"""The application: routes, edge and state put together. Importing this file starts nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from feature_store.erasures import Erasures
from feature_store.intake import Intake, IntakeOptions
from feature_store.online.erase import Eraser
from feature_store.pseudonyms import Pseudonyms
from recommender.errors import StorageError
from recommender.merchandising.rules_file import DEFAULT_FILE as RULES_FILE
from recommender.placements import DEFAULT_FILE, Placement, read_placements
from serving import health
from serving.admission import refusal
from serving.arm_models import ArmModels
from serving.at_once import AtOnce
from serving.bundle_source import BundleSource
from serving.demo.endpoints import demo_endpoints
from serving.edge import Edge
from serving.endpoint import Endpoint, mount, prepared
from serving.errors import Problem
from serving.exchange import exchange_of
from serving.experiment_source import build_experiments
from serving.inherited_model import Inheritance, InheritedModel, ModelSource
from serving.key_source import KeySource
from serving.limits import Gate
from serving.online_store import open_online, start_online, stop_online
from serving.openapi import openapi_of
from serving.random_block import RandomBlock
from serving.records import Records
from serving.routes import (
    events,
    experiment_log,
    experiments,
    exposures,
    ofrep,
    recommendations,
    rules,
    similar_items,
    visitors,
)
from serving.rule_source import RuleSource
from serving.security import AccessTable, read_secret
from serving.settings import Settings
from serving.state import ServiceState, code_version
from serving.telemetry import Metrics
from serving.turns import Turns
from serving.uuid7 import Uuid7Source

logger = logging.getLogger(__name__)
ENDPOINTS: tuple[Endpoint, ...] = (
    *recommendations.ENDPOINTS,
    *similar_items.ENDPOINTS,
    *events.ENDPOINTS,
    *visitors.ENDPOINTS,
    *rules.ENDPOINTS,
    *experiments.ENDPOINTS,
    *exposures.ENDPOINTS,
    *ofrep.ENDPOINTS,
    *experiment_log.ENDPOINTS,
    *health.ENDPOINTS,
)
WRITER_PREFIX = "serve"
MIRROR_SECONDS = 1.0


class Service(FastAPI):
    """A FastAPI application behind an edge of its own.

    Attributes
    ----------
    at_once
        Answers whole questions in front of all that; for the server's connections.
    service
        Also in ``app.state``, where it takes longer to find. Only while the application runs.
    """

    at_once: AtOnce
    service: ServiceState

    def build_middleware_stack(self) -> ASGIApp:
        """The edge, and what stands before it: it lets no error through to anything around it."""
        around: Any = super().build_middleware_stack()
        edge: ASGIApp = around.app
        return edge


def wall_clock() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], int] = wall_clock,
    inheritance: Inheritance | None = None,
) -> Service:
    """Build the application. Its state, `app.state.service`, exists while it runs.

    Parameters
    ----------
    inheritance
        A model that is loaded already, for processes that share one by forking.
    """
    app = Service(
        title="Desirepath",
        version=code_version(),
        description="Suggestions for shops. Every valid question gets an answer.",
        lifespan=lambda app: _lifespan(app, settings, clock, inheritance),
        telemetry={"tracing": False, "metrics": False, "logs": False},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        exception_handlers={HTTPException: _framework_refusal},
    )
    endpoints = (*ENDPOINTS, *(demo_endpoints(settings) if settings.demo else ()))
    access = AccessTable()
    direct = mount(app, access, endpoints)
    app.openapi = openapi_of(app, endpoints)  # type: ignore[method-assign]
    app.at_once = AtOnce(lambda: app.service, prepared(endpoints))
    app.add_middleware(Edge, access=access, direct=direct)
    app.state.access = access
    if settings.cors_origins:  # added last, so it stands before the edge and answers preflights
        app.add_middleware(CORSMiddleware, **_cors(settings))
    return app


def _cors(settings: Settings) -> dict[str, Any]:
    return {
        "allow_origins": list(settings.cors_origins),
        "allow_methods": ["GET", "POST", "PUT"],
        "allow_headers": ["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        "expose_headers": ["X-Request-ID", "Retry-After"],
        "max_age": 600,
    }


def build_state(
    settings: Settings, clock: Callable[[], int], inheritance: Inheritance | None
) -> ServiceState:
    """Open everything. What was opened is closed when the application ends."""
    settings.root.mkdir(parents=True, exist_ok=True)
    placements = read_placements(settings.placements or DEFAULT_FILE)
    keys = KeySource(None if settings.dev else settings.keys_path, time.monotonic)
    metrics = Metrics()
    models = _models(settings, placements, metrics, inheritance)
    rule_source = RuleSource(
        settings.rules or RULES_FILE, placements, settings.bundle_poll_seconds, metrics
    )
    arm_models = ArmModels(settings.layout.bundles, models, placements, settings.max_arm_bundles)
    if inheritance:
        arm_models.held = inheritance.arms
    experiment_source = build_experiments(
        settings.layout.experiments,
        arm_models,
        placements,
        settings.bundle_poll_seconds,
        metrics,
    )
    erasures = Erasures(settings.layout.erasures)
    online = open_online(settings, clock, erasures.erased_at, metrics)
    store, known = online.store, online.visitors
    pseudonyms = Pseudonyms(read_secret(settings.layout.pseudonyms, os.urandom))
    options = IntakeOptions(max_waiting_events=settings.max_pending_events)
    intake = Intake(settings.layout, online.follower or known, clock, WRITER_PREFIX, options)
    try:
        intake.open()
    except StorageError:
        # Suggestions go on, events are refused, and the intake keeps trying.
        logger.exception("the log cannot be written")
    records = Records(intake, metrics)
    return ServiceState(
        settings=settings,
        clock=clock,
        new_id=Uuid7Source(clock, RandomBlock(os.urandom)),
        placements=placements,
        models=models,
        rules=rule_source,
        experiments=experiment_source,
        store=store,
        visitors=known,
        intake=intake,
        eraser=Eraser(store, known, erasures, clock, pseudonyms.of),
        keys=keys,
        pseudonyms=pseudonyms,
        metrics=metrics,
        lookup=online.lookup,
        follower=online.follower,
        code_version=code_version(),
        requests=Gate(settings.max_in_flight, "requests"),
        records=records,
        turns=Turns(Gate(settings.max_waiting_answers, "answers"), keep=records.write),
    )


def _models(
    settings: Settings,
    placements: Mapping[str, Placement],
    metrics: Metrics,
    inheritance: Inheritance | None,
) -> ModelSource:
    if inheritance:
        return InheritedModel(inheritance, metrics)
    models = BundleSource(
        settings.layout.bundles, placements, settings.bundle_poll_seconds, metrics
    )
    models.load_first()
    return models


@contextlib.asynccontextmanager
async def _lifespan(
    app: Service,
    settings: Settings,
    clock: Callable[[], int],
    inheritance: Inheritance | None,
) -> AsyncIterator[None]:
    state = build_state(settings, clock, inheritance)
    app.service = app.state.service = state
    state.models.start()
    state.rules.start()
    state.experiments.start()
    await start_online(state)
    mirror = asyncio.create_task(_mirror_intake(state))
    try:
        yield
    finally:
        state.is_draining = True
        mirror.cancel()
        state.models.stop()
        state.rules.stop()
        state.experiments.stop()
        await stop_online(state)
        # The log is flushed and synced here; it may take a moment, and nobody else needs the loop.
        state.intake.close()
        state.store.close()
        state.metrics.tell()


async def _mirror_intake(state: ServiceState) -> None:
    while True:
        state.metrics.mirror(
            state.intake.counters, state.follower.counts if state.follower else None
        )
        await asyncio.sleep(MIRROR_SECONDS)


async def _framework_refusal(request: Request, error: Exception) -> Response:
    """Refusals that the framework raises itself, in our own form."""
    exchange = exchange_of(request)
    status = error.status_code if isinstance(error, HTTPException) else 500
    problem = Problem(status, "refused", str(getattr(error, "detail", "")))
    return refusal(problem, exchange)
