"""Routes of the demonstration: the page, its catalogue, decision records, the evaluation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from serving.demo.decision_index import DecisionIndex
from serving.demo.shelf import Shelf, shelf_of
from serving.endpoint import Endpoint
from serving.errors import Problem
from serving.exchange import exchange_of, json_answer
from serving.openapi import query_parameters
from serving.reading import params_of
from serving.security import PUBLIC
from serving.settings import Settings

FOLDER = Path(__file__).parent
PAGE = {
    "page.html": "text/html",
    "page.css": "text/css",
    "words.js": "text/javascript",
    "behind.js": "text/javascript",
    "visits.js": "text/javascript",
    "page.js": "text/javascript",
}
EVALUATION = "evaluation.json"
JOURNEYS = Path("reports") / "journeys.html"
# The page loads nothing from elsewhere and runs no inline script.
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
# A report is one page of markup and styles.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
)
Offset = Annotated[str, Meta(pattern="^[0-9]{1,8}$")]


class ShelfParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which part of the catalogue."""

    category: str | None = None
    words: str = ""
    offset: Offset = "0"


async def demo_shelf(request: Request) -> Response:
    """A page of the catalogue."""
    params = params_of(request, ShelfParams)
    catalogue = exchange_of(request).state.models.current.bundle.catalogue
    shelf = shelf_of(catalogue, params.category, params.words, int(params.offset))
    return json_answer(shelf)


def demo_endpoints(settings: Settings) -> tuple[Endpoint, ...]:
    """The routes; without keys, so only a service in development mode mounts them."""
    pages = tuple(
        Endpoint("GET", _path_of(name), _file(name), PUBLIC, f"Demonstration: {name}")
        for name in PAGE
    )
    return (
        *pages,
        Endpoint(
            "GET",
            "/demo/shelf",
            demo_shelf,
            PUBLIC,
            "Demonstration: catalogue",
            params=query_parameters(ShelfParams),
            response=Shelf,
            problems=(400, 422),
        ),
        Endpoint(
            "GET",
            "/demo/decisions/{decision_id}",
            _decision(DecisionIndex(settings.layout.log)),
            PUBLIC,
            "Demonstration: the decision record behind an answer",
            params=(_path_parameter("decision_id"),),
            problems=(404,),
        ),
        Endpoint(
            "GET",
            "/demo/evaluation",
            _evaluation(settings.root / EVALUATION),
            PUBLIC,
            "Demonstration: the evaluation of the served model",
            problems=(404,),
        ),
        Endpoint(
            "GET",
            "/demo/journeys",
            _journeys(settings.root / JOURNEYS),
            PUBLIC,
            "Demonstration: the customer's way through the shop",
            problems=(404,),
        ),
    )


def _path_of(name: str) -> str:
    return "/demo" if name == "page.html" else f"/demo/{name}"


def _path_parameter(name: str) -> dict[str, object]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _named(
    handler: Callable[..., Awaitable[Response]], name: str, *bound: object
) -> Callable[[Request], Awaitable[Response]]:
    # OpenAPI names an operation after its function; a partial has no name of its own.
    named = partial(handler, *bound)
    named.__name__ = name  # type: ignore[attr-defined]
    named.__doc__ = handler.__doc__
    return named


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = (FOLDER / name).read_bytes()
    return _named(_send, f"demo_{name.replace('.', '_')}", content, PAGE[name])


async def _send(content: bytes, media_type: str, request: Request) -> Response:  # noqa: ARG001 - the signature of a route
    """A file of the page."""
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    return Response(content, headers=headers, media_type=media_type)


def _decision(index: DecisionIndex) -> Callable[[Request], Awaitable[Response]]:
    return _named(_find_decision, "demo_decision", index)


async def _find_decision(index: DecisionIndex, request: Request) -> Response:
    """The record as the log holds it."""
    record = index.find(request.path_params["decision_id"])
    if record is None:
        raise Problem(404, "unknown_decision", "No such decision among the last ones.")
    return json_answer(record)


def _evaluation(path: Path) -> Callable[[Request], Awaitable[Response]]:
    return _named(_send_evaluation, "demo_evaluation", path)


async def _send_evaluation(path: Path, request: Request) -> Response:  # noqa: ARG001 - the signature of a route
    """The evaluation report that training left in the data folder."""
    content = _left_by("desirepath train", path, EVALUATION, "no_evaluation")
    return Response(content, media_type="application/json")


def _journeys(path: Path) -> Callable[[Request], Awaitable[Response]]:
    return _named(_send_journeys, "demo_journeys", path)


async def _send_journeys(path: Path, request: Request) -> Response:  # noqa: ARG001 - the signature of a route
    """The journey report that was written into the data folder."""
    content = _left_by("desirepath report journeys", path, JOURNEYS, "no_journeys")
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": REPORT_POLICY}
    return Response(content, headers=headers, media_type="text/html")


def _left_by(verb: str, path: Path, name: str | Path, code: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        detail = f"There is no {name} in the data folder; `{verb}` writes it."
        raise Problem(404, code, detail) from error
