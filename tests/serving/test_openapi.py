"""The OpenAPI document says what is really parsed; generated examples and a fuzzer prove it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.app import ENDPOINTS, create_app
from serving.errors import Problem
from serving.openapi import query_parameters
from serving.reading import struct_of
from serving.schemas import (
    RecommendationParams,
    RecommendationRequest,
    SimilarItemsRequest,
)
from serving.settings import Settings
from tests.serving.service import TestClient, event, header_bytes, in_process

APP = create_app(Settings(dev=True))
DOCUMENT = APP.openapi()
REQUESTS = {each.__name__: each for each in (RecommendationRequest, SimilarItemsRequest)}


class MaxBytes:
    """Our own keyword: JSON schema counts characters, an id is limited in bytes."""

    def __init__(self, parent: object, limit: int, path: object) -> None:
        self._limit = limit

    def validate(self, instance: object) -> None:
        if isinstance(instance, str) and len(instance.encode()) > self._limit:
            raise ValueError("too many bytes")


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema, keywords={"x-max-bytes": MaxBytes})


def schema_of(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def decodes(kind: type[msgspec.Struct], instance: object) -> bool:
    try:
        struct_of(json.dumps(instance).encode(), kind)
    except Problem:
        return False
    return True


def agree(name: str, instance: object) -> None:
    assert decodes(REQUESTS[name], instance) == VALIDATORS[name].is_valid(instance), instance


VALIDATORS = {name: validator(schema_of(name)) for name in REQUESTS}
letters = st.characters(exclude_categories=["Cs"])


def examples(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Instances of a schema, of the keywords that occur in the document."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return st.deferred(lambda: examples(DOCUMENT["components"]["schemas"][name]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([examples(each) for each in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    lists = {"min_size": schema.get("minItems", 0), "max_size": min(schema.get("maxItems", 4), 4)}
    texts = {"min_size": schema.get("minLength", 0), "max_size": min(schema.get("maxLength", 9), 9)}
    return {
        "null": st.none,
        "boolean": st.booleans,
        "integer": lambda: st.integers(low, high),
        "number": lambda: st.floats(low, high, allow_nan=False, allow_infinity=False),
        "string": lambda: st.text(letters, **texts),
        "array": lambda: st.lists(examples(schema["items"]), **lists),
        "object": lambda: _objects(schema),
    }[schema["type"]]()


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        names = examples({"type": "string"} | schema["propertyNames"])
        return st.dictionaries(names, examples(schema["additionalProperties"]), max_size=3)
    fields = {name: examples(each) for name, each in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema["required"]}
    least = schema.get("minProperties", 0)
    return st.fixed_dictionaries(required, optional=fields).filter(lambda each: len(each) >= least)


# An integer is what is written as one: 5.0 is a number here, though JSON schema counts it as both.
noise = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 65), 1 << 65)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda each: not each.is_integer())
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.just("é" * 129)
    | st.just("x" * 257),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@pytest.mark.parametrize("name", REQUESTS)
@settings(max_examples=60)
@given(data=st.data())
def test_what_the_schema_describes_is_accepted_and_nothing_else(
    name: str, data: st.DataObject
) -> None:
    instance = data.draw(examples(DOCUMENT["components"]["schemas"][name]))
    agree(name, instance)
    fields = list(DOCUMENT["components"]["schemas"][name]["properties"])
    place = data.draw(st.sampled_from([*fields, "unknown"]))
    agree(name, instance | {place: data.draw(noise)})
    removed = data.draw(st.sampled_from(fields))
    agree(name, {key: value for key, value in instance.items() if key != removed})


@settings(max_examples=200)
@given(instance=noise)
def test_other_values_are_refused_by_both(instance: object) -> None:
    for name in REQUESTS:
        agree(name, instance)


@pytest.mark.parametrize("part", ["Context", "Filter", "PriceRange"])
@settings(max_examples=60)
@given(data=st.data())
def test_the_parts_agree_too(part: str, data: st.DataObject) -> None:
    """Sub-objects on their own, so that the search reaches into them."""
    schema = DOCUMENT["components"]["schemas"][part]
    place = data.draw(st.sampled_from(sorted(schema["properties"])))
    value = data.draw(noise | examples(schema["properties"][place]))
    inside: dict[str, Any] = {place: value}
    wrapped = {"Context": {"context": inside}, "Filter": {"filter": inside}}.get(
        part, {"filter": {"price": inside}}
    )
    agree("RecommendationRequest", {"placement": "home"} | wrapped)


def test_every_answer_is_as_described(root: Path) -> None:
    personal = {
        "placement": "next",
        "visitor_id": "ann",
        "explain": True,
        "return_properties": True,
    }
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/events", {"json": [event("ann"), {"bad": 1}]}),
        ("POST", "/v1/recommendations", {"json": personal}),
        ("POST", "/v1/recommendations", {"json": {"placement": "nowhere"}}),
        ("POST", "/v1/recommendations", {"content": b"{"}),
        ("GET", "/v1/recommendations", {"params": {"placement": "home"}}),
        ("POST", "/v1/similar-items", {"json": {"item_ids": ["item-04"]}}),
        ("GET", "/v1/visitors/ann", {}),
        ("DELETE", "/v1/visitors/ann", {}),
        ("GET", "/health/live", {}),
        ("GET", "/health/ready", {}),
    ]
    with in_process(root) as client:
        for method, path, options in calls:
            answer = client.request(method, path, **options)
            template = path.replace("/ann", "/{visitor_id}")
            described = DOCUMENT["paths"][template][method.lower()]["responses"]
            content = described[str(answer.status_code)]["content"]
            schema = content[answer.headers["content-type"].split(";")[0]]["schema"]
            validator(schema | {"components": DOCUMENT["components"]}).validate(answer.json())


def test_the_document_is_served_and_complete(client: TestClient) -> None:
    served = client.get("/openapi.json").json()
    assert served == json.loads(json.dumps(DOCUMENT))
    operations = {
        (method.upper(), path) for path, methods in served["paths"].items() for method in methods
    }
    assert operations == {(each.method, each.path.replace(":path", "")) for each in ENDPOINTS}
    text = json.dumps(served)
    for name in set(text.split("#/components/schemas/")[1:]):
        assert name.split('"')[0] in served["components"]["schemas"]


def test_query_parameters_follow_their_struct() -> None:
    described = {each["name"]: each for each in query_parameters(RecommendationParams)}
    assert set(described) == {each.name for each in msgspec.structs.fields(RecommendationParams)}
    assert described["placement"]["required"] is True
    assert described["limit"]["schema"]["minimum"] == 1  # type: ignore[index]
    assert described["kinds"]["schema"]["type"] == "array"  # type: ignore[index]
    assert "null" not in json.dumps(list(described.values()))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("fuzz") / "shop"
    from tests.serving.service import publish_shop

    publish_shop(root)
    with in_process(root) as client:
        yield client


api = schemathesis.openapi.from_dict(json.loads(json.dumps(DOCUMENT)))


@api.parametrize()
@settings(max_examples=40)
def test_a_fuzzer_finds_no_server_error(case: Any, fuzzed: TestClient) -> None:
    """Positive and negative data from the document; every answer is of a described kind."""
    request = case.as_transport_kwargs(base_url="http://shop.example")
    answer = fuzzed.request(
        request["method"],
        request["url"],
        params=request.get("params"),
        json=request.get("json") if "json" in request else None,
        content=request.get("data"),
        headers=header_bytes(request.get("headers")),
    )
    assert answer.status_code < 500, (case, answer.text)
    described = DOCUMENT["paths"][case.operation.path].get(case.method.lower())
    if described is None:
        assert answer.status_code == 405
    else:  # a path may also come to be another one, for example by a slash in an id
        assert str(answer.status_code) in {*described["responses"], "404", "405"}, answer.text
