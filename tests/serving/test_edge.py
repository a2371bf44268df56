"""What every request meets, whatever its route."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.app import create_app
from serving.errors import PROBLEM_TYPE, Problem
from serving.limits import Gate
from serving.settings import Settings
from tests.serving.service import TestClient, event, in_process

POSTS = {
    "/v1/recommendations": {"placement": "home"},
    "/v1/similar-items": {"item_ids": ["item-01"]},
    "/v1/events": None,
}
STRICT = [path for path in POSTS if path != "/v1/events"]


def good_body(path: str) -> dict[str, Any]:
    return POSTS[path] or event("ann")


def post(client: TestClient, path: str, content: bytes, kind: str = "application/json") -> Any:
    return client.post(path, content=content, headers={"Content-Type": kind})


def assert_problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM_TYPE
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body.keys() == {"type", "title", "status", "code", "detail", "request_id"}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/html",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ],
)
def test_other_content_types_are_refused(client: TestClient, path: str, kind: str) -> None:
    content = json.dumps(good_body(path)).encode()
    assert_problem(post(client, path, content, kind), 415, "content_type_refused")


@pytest.mark.parametrize("path", POSTS)
def test_other_encodings_are_refused(client: TestClient, path: str) -> None:
    content = json.dumps(good_body(path)).encode()
    kind = "application/json; charset=utf-16"
    assert_problem(post(client, path, content, kind), 415, "charset_refused")
    for encoding in ("gzip", "deflate", "br", "zstd", "x", "identity, gzip"):
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        answer = client.post(path, content=content, headers=headers)
        assert_problem(answer, 415, "content_encoding_refused")


@pytest.mark.parametrize("path", STRICT)
def test_plain_text_is_for_beacons_only(client: TestClient, path: str) -> None:
    content = json.dumps(good_body(path)).encode()
    assert_problem(post(client, path, content, "text/plain"), 415, "content_type_refused")


@pytest.mark.parametrize("path", POSTS)
def test_a_body_over_a_mebibyte_is_refused(client: TestClient, path: str) -> None:
    assert_problem(post(client, path, b" " * ((1 << 20) + 1)), 413, "body_too_large")

    async def endless() -> Any:
        for _ in range(1000):
            yield b" " * 10_000

    headers = {"Content-Type": "application/json"}
    assert_problem(client.post(path, content=endless(), headers=headers), 413, "body_too_large")


@pytest.mark.parametrize("path", STRICT)
@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        (b'"limit":NaN', 422, "number_not_finite"),
        (b'"limit":1e999', 422, "number_not_finite"),
        (b'"limit":-Infinity', 422, "number_not_finite"),
        (b'"limit":"nan"', 422, "invalid_value"),
        (b'"limit":18446744073709551616', 422, "number_out_of_range"),
        (b'"limit":18446744073709551615', 422, "invalid_value"),
        (b'"limit":5,"limit":5', 400, "duplicate_key"),
        (b'"limit":5,"\\u006cimit":5', 400, "duplicate_key"),
        (b'"exclude_item_ids":["\\ud800"]', 400, "lone_surrogate"),
        (b'"exclude_item_ids":["\xff"]', 400, "invalid_utf8"),
        (b'"exclude_item_ids":[""]', 422, "invalid_value"),
        (b'"exclude_item_ids":[' + b'"a",' * 1000 + b'"a"]', 422, "invalid_value"),
        (b'"filter":' + b"[" * 16 + b"]" * 16, 400, "too_deep"),
        (b'"filter":' + b"[" * 900 + b"]" * 900, 400, "too_deep"),
        (b'"filter":{"price":{"max":NaN}}', 422, "number_not_finite"),
        (b'"filter":{"price":{"max":1e999}}', 422, "number_not_finite"),
        (b'"filter":{"price":{"min":-1}}', 422, "invalid_value"),
        (b'"p_slot":1', 422, "invalid_value"),
        (b'"qa":true', 422, "invalid_value"),
        (b'"policy":"mine"', 422, "invalid_value"),
        (b"", 400, "malformed_json"),
    ],
)
def test_the_edge_is_strict(
    client: TestClient, path: str, more: bytes, status: int, code: str
) -> None:
    good = json.dumps(good_body(path)).encode()
    assert_problem(post(client, path, good[:-1] + b"," + more + b"}"), status, code)


@pytest.mark.parametrize("path", POSTS)
def test_other_unicode_forms_are_refused(client: TestClient, path: str) -> None:
    text = json.dumps(good_body(path))
    for form in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
        answer = post(client, path, text.encode(form))
        assert answer.status_code == 400
        assert answer.json()["code"] in ("invalid_utf8", "malformed_json")


def test_nothing_is_there_but_what_is_declared(client: TestClient) -> None:
    for path in ("/", "/docs", "/redoc", "/v1", "/v1/", "/v1/recommendations/", "/v2/events", "//"):
        assert_problem(client.get(path), 404, "unknown_path")
    for method, path in (
        ("PUT", "/v1/events"),
        ("GET", "/v1/events"),
        ("PATCH", "/v1/visitors/x"),
        ("HEAD", "/v1/similar-items"),
        ("TRACE", "/health/live"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 405
    assert_problem(client.get("/v1/events"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ("req-1", True),
        ("a" * 128, True),
        ("A.b_c:d-9", True),
        ("a" * 129, False),
        ("", False),
        ("two words", False),
        ("<script>", False),
        ("a\tb", False),
    ],
)
def test_the_request_id_is_echoed_when_it_is_one(
    client: TestClient, sent: str, echoed: bool
) -> None:
    answer = client.get("/health/live", headers={"X-Request-ID": sent})
    assert (answer.headers["x-request-id"] == sent) == echoed
    assert answer.headers["x-request-id"]


def test_every_answer_says_how_to_treat_it(client: TestClient) -> None:
    for answer in (client.get("/health/live"), client.get("/nowhere"), client.get("/metrics")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_unexpected_error_is_a_problem_too_and_tells_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import serving.answer

    def breaks(*_: object) -> None:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(serving.answer, "answer", breaks)
    with in_process(root) as client:
        answer = client.post("/v1/recommendations", json={"placement": "home"})
        assert_problem(answer, 500, "internal_error")
        assert "secret" not in answer.text
    assert any(record.exc_info for record in caplog.records)


def test_a_gate_admits_what_fits_and_always_one() -> None:
    gate = Gate(2, "requests")
    gate.enter(5)
    with pytest.raises(Problem) as caught:
        gate.enter()
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    gate.leave(5)
    gate.enter()
    gate.enter()
    with pytest.raises(Problem):
        gate.enter()


def test_overload_is_shed_with_a_hint_and_health_still_answers(root: Path) -> None:
    async def overloaded() -> tuple[Any, Any, Any]:
        import httpx

        app = create_app(Settings(root=root, dev=True, max_in_flight=1))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                release = asyncio.Event()

                async def slow() -> Any:
                    yield b'{"placement":'
                    await release.wait()
                    yield b'"home"}'

                headers = {"Content-Type": "application/json"}
                path = "/v1/recommendations"
                first = asyncio.create_task(client.post(path, content=slow(), headers=headers))
                while not app.state.service.requests.inside:
                    await asyncio.sleep(0.001)
                shed = await client.post(path, json={"placement": "home"})
                health = await client.get("/health/live")
                release.set()
                return await first, shed, health

    first, shed, health = asyncio.run(overloaded())
    assert_problem(shed, 503, "overloaded")
    assert shed.headers["retry-after"] == "1"
    assert (first.status_code, health.status_code) == (200, 200)


def test_questions_that_would_wait_too_long_are_shed(root: Path) -> None:
    with in_process(root, max_waiting_answers=1) as client:
        body = {"placement": "home"}
        gate = client.app.state.service.turns.gate
        gate.enter()  # somebody waits
        shed = client.post("/v1/recommendations", json=body)
        assert_problem(shed, 503, "overloaded")
        assert shed.headers["retry-after"] == "1"
        assert client.post("/v1/events", json=event("ann")).status_code == 202
        assert client.get("/health/ready").status_code == 200
        gate.leave()
        assert client.post("/v1/recommendations", json=body).status_code == 200
        assert gate.inside == 0


def test_a_caller_who_dawdles_is_let_go(root: Path) -> None:
    async def dawdle() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    with in_process(root, body_timeout_seconds=0.05) as client:
        headers = {"Content-Type": "application/json"}
        answer = client.post("/v1/recommendations", content=dawdle(), headers=headers)
        assert_problem(answer, 408, "body_too_slow")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["home", "item", "nan", "ann", "item-04"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "placement",
                    "visitor_id",
                    "limit",
                    "context",
                    "filter",
                    "item_ids",
                    "events",
                    "ts",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with in_process(tmp_path_factory.mktemp("shop") / "root") as client:
        yield client


@settings(max_examples=150)
@given(path=st.sampled_from(sorted(POSTS)), value=json_values)
def test_any_json_is_answered_or_refused_in_strict_json(
    shared_client: TestClient, path: str, value: object
) -> None:
    content = json.dumps(value).encode()
    answer = post(shared_client, path, content)
    assert answer.status_code in (200, 202, 400, 404, 413, 422)
    json.loads(answer.content.decode(), parse_constant=pytest.fail)


@settings(max_examples=150)
@given(path=st.sampled_from(sorted(POSTS)), content=st.binary(max_size=80))
def test_any_bytes_are_answered_or_refused(
    shared_client: TestClient, path: str, content: bytes
) -> None:
    answer = post(shared_client, path, content)
    assert answer.status_code in (202, 400, 422)


@given(st.text(min_size=1).filter(lambda text: 1 <= len(text.encode("utf-8", "replace")) <= 256))
def test_any_text_is_an_id(shared_client: TestClient, visitor_id: str) -> None:
    body = json.dumps({"placement": "home", "visitor_id": visitor_id}).encode()
    answer = post(shared_client, "/v1/recommendations", body)
    has_surrogates = any("\ud800" <= each <= "\udfff" for each in visitor_id)
    assert answer.status_code == (400 if has_surrogates else 200)
