"""The OpenAPI document, made from the structs that really parse and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.endpoint import COMPONENT, Endpoint, body_types
from serving.errors import ProblemBody
from serving.schemas import component_schemas

SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def query_parameters(kind: type[msgspec.Struct]) -> tuple[Mapping[str, object], ...]:
    """The fields of a struct as query parameters; lists repeat their name."""
    schema = component_schemas([kind], COMPONENT)[kind.__name__]
    return tuple(
        {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "schema": _not_null(described),
        }
        for name, described in schema["properties"].items()
    )


def openapi_of(app: FastAPI, endpoints: Iterable[Endpoint]) -> Callable[[], dict[str, Any]]:
    """The function that FastAPI calls for the document; it is made on first use."""
    types = [*body_types(endpoints), ProblemBody]

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, types)
        return dict(app.openapi_schema)

    return document


def _document(app: FastAPI, types: list[type]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = component_schemas(types, COMPONENT)
    document["components"] = {"schemas": schemas, "securitySchemes": SECURITY_SCHEMES}
    return document


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    # A query string has no null: a parameter that is not there is left out.
    choices: list[dict[str, Any]] = [
        each for each in schema.get("anyOf", ()) if each != {"type": "null"}
    ]
    if not choices:
        return schema
    return choices[0] if len(choices) == 1 else {"anyOf": choices}
