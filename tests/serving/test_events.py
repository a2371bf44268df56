from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_store.records import EventRecord
from serving.app import create_app
from serving.routes import events
from serving.settings import Settings
from tests.serving.service import (
    TestClient,
    event,
    in_process,
    item_ids,
    make_keys,
    records,
)

DAY = 86_400_000_000


def send(client: TestClient, body: object, **options: Any) -> Any:
    return client.post("/v1/events", json=body, **options)


def stored(root: Path) -> list[EventRecord]:
    return [each for each in records(root) if isinstance(each, EventRecord)]


def test_one_a_list_and_an_envelope(root: Path) -> None:
    with in_process(root) as client:
        for body in (event("a"), [event("b"), event("c")], {"events": [event("d")]}):
            answer = send(client, body)
            assert answer.status_code == 202
            assert answer.json()["rejected"] == []
        assert [each.event.visitor_id for each in stored(root)] == ["a", "b", "c", "d"]


def test_nothing_at_all_is_accepted_as_nothing(client: TestClient) -> None:
    for body in ([], {"events": []}):
        assert send(client, body).json() == {"accepted": 0, "duplicates": 0, "rejected": []}


def test_a_beacon_is_understood_and_brings_its_key(root: Path) -> None:
    keys = make_keys(root)
    with in_process(root, dev=False) as client:

        def beacon(body: object) -> Any:
            headers = {"Content-Type": "text/plain;charset=UTF-8"}
            return client.post("/v1/events", content=json.dumps(body), headers=headers)

        answer = beacon({"api_key": keys["browser"], "events": [event("ann")]})
        assert answer.json()["accepted"] == 1
        assert beacon({"api_key": "wrong", "events": [event("ann")]}).status_code == 401
        assert beacon({"events": [event("ann")]}).status_code == 401
        assert beacon([event("ann")]).status_code == 401
        assert beacon(event("ann") | {"api_key": keys["browser"]}).json()["accepted"] == 1
        refused = beacon({"event_type": "?", "api_key": keys["browser"]})
        assert len(refused.json()["rejected"]) == 1
    assert len(stored(root)) == 2
    on_disk = b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())
    assert keys["browser"].encode() not in on_disk


def test_sent_again_it_counts_once(client: TestClient) -> None:
    body = [event("ann", event_id="e-1"), event("ann", "item-04", event_id="e-2")]
    assert send(client, body).json()["accepted"] == 2
    again = send(client, [*body, event("ann", event_id="e-3")]).json()
    assert (again["accepted"], again["duplicates"]) == (1, 2)
    changed = send(client, body[0] | {"items": [{"item_id": "item-09"}]}).json()
    assert [each["code"] for each in changed["rejected"]] == ["conflict"]
    known = client.get("/v1/visitors/ann").json()
    assert known["totals"] == {"view_item": 3}


BAD: list[tuple[bytes, str]] = [
    (b"1", "bad_event"),
    (b"null", "bad_event"),
    (b"[]", "bad_event"),
    (b'"text"', "bad_event"),
    (b"{}", ""),
    (b'{"event_type":"view_item"}', ""),
    (b'{"event_type":"view_item","visitor_id":"v","ts":TS,"items":[{"item_id":""}]}', ""),
    (b'{"event_type":"view_item","visitor_id":"v","ts":TS,"items":[{"item_id":"a","x":{}}]}', ""),
    (b'{"event_type":"no_such_thing","visitor_id":"v","ts":TS}', ""),
    (b'{"event_type":"view_item","visitor_id":"","ts":TS,"items":[{"item_id":"a"}]}', ""),
    (b'{"event_type":"view_item","visitor_id":7,"ts":TS,"items":[{"item_id":"a"}]}', ""),
    (b'{"event_type":"view_item","visitor_id":"v","ts":"yesterday"}', ""),
    (b'{"event_type":"view_item","visitor_id":"v","ts":TS,"items":{}}', ""),
    (b'{"event_type":"purchase","visitor_id":"v","ts":TS,"value":"nan"}', ""),
    (b'{"event_type":"purchase","visitor_id":"v","ts":TS,"value":NaN}', "number_not_finite"),
    (b'{"event_type":"purchase","visitor_id":"v","ts":TS,"value":Infinity}', "number_not_finite"),
    (b'{"event_type":"purchase","visitor_id":"v","ts":TS,"value":1e999}', "number_not_finite"),
    (b'{"event_type":"purchase","visitor_id":"v","ts":TS,"value":-1e999}', "number_not_finite"),
    (
        b'{"event_type":"view_item","visitor_id":"v","ts":99999999999999999999}',
        "number_out_of_range",
    ),
    (b'{"event_type":"view_item","visitor_id":"v","visitor_id":"w","ts":TS}', "duplicate_key"),
    (b'{"event_type":"view_item","visitor_id":"\xff","ts":TS}', "invalid_utf8"),
    (b'{"event_type":"view_item","visitor_id":"\xed\xa0\x80","ts":TS}', "invalid_utf8"),
    (b'{"event_type":"view_item","visitor_id":"\\ud800","ts":TS}', "lone_surrogate"),
    (b'{"a":' * 20 + b"1" + b"}" * 20, "too_deep"),
    (b'{"event_type":"view_item","visitor_id":"v","ts":OLD,"items":[{"item_id":"a"}]}', "too_late"),
    (b'{"event_type":"view_item","visitor_id":"v","ts":FAR,"items":[{"item_id":"a"}]}', "future"),
    (b'{"event_type":"view_item","visitor_id":"' + b"v" * 257 + b'","ts":TS}', ""),
    (b'{"event_type":"view_item","visitor_id":"v","ts":-1}', ""),
    (b'{"event_type":"view_item","visitor_id":"v","ts":true}', ""),
    (b'{"event_type":"view_item","visitor_id":"v","ts":TS,"verdict":"accepted"}', ""),
]


def test_one_bad_event_of_each_kind_never_sinks_its_batch(root: Path) -> None:
    assert len(BAD) == 30
    with in_process(root) as client:
        now = event("x")["ts"]
        bodies = [
            raw.replace(b"TS", b"%d" % now)
            .replace(b"OLD", b"%d" % (now - 8 * DAY))
            .replace(b"FAR", b"%d" % (now + 2 * DAY))
            for raw, _ in BAD
        ]
        good = [json.dumps(event(f"v-{n}", event_id=f"e-{n}")).encode() for n in range(970)]
        mixed: list[bytes] = []
        places: list[int] = []
        for n, each in enumerate(good):
            if n % 30 == 0 and n // 30 < len(bodies):
                places.append(len(mixed))
                mixed.append(bodies[n // 30])
            mixed.append(each)
        headers = {"Content-Type": "application/json"}
        body = b"[" + b",".join(mixed) + b"]"
        answer = client.post("/v1/events", content=body, headers=headers)
        assert answer.status_code == 202, answer.text
        result = answer.json()
        assert result["accepted"] == len(good)
        assert [each["index"] for each in result["rejected"]] == places
        for (_, code), each in zip(BAD, result["rejected"], strict=True):
            assert each["detail"]
            assert not code or each["code"] == code, each
    assert len(stored(root)) == len(good)
    quarantined = b"".join(
        path.read_bytes() for path in (root / "quarantine").rglob("*") if path.is_file()
    )
    assert quarantined.count(b"\n") >= len(BAD)


def test_the_whole_is_refused_only_when_it_is_not_readable(client: TestClient) -> None:
    for body, status in [
        (b"", 400),
        (b"[1,", 400),
        (b"{", 400),
        (b"1", 400),
        (b'{"a":1,"a":2}', 400),
        (b'{"ts":NaN}', 422),
        (b'{"events":[],"more":1}', 422),
        (b"[" * 100_000, 400),
        (b"[" + b"1," * 1000 + b"1]", 413),
        (b'{"client_id":"c","events":[' + b"1," * 1000 + b"1]}", 413),
    ]:
        headers = {"Content-Type": "application/json"}
        answer = client.post("/v1/events", content=body, headers=headers)
        assert answer.status_code == status, (body[:40], answer.text)
        assert answer.json()["detail"]


def test_late_and_early_events_follow_the_servers_clock(client: TestClient) -> None:
    now = event("x")["ts"]
    ages = {"late": -6 * DAY, "too_late": -8 * DAY, "clamped": 3_600_000_000, "future": 2 * DAY}
    body = [event("ann", ts=now + age, event_id=name) for name, age in ages.items()]
    answer = send(client, body).json()
    assert answer["accepted"] == 2
    assert [(each["index"], each["code"]) for each in answer["rejected"]] == [
        (1, "too_late"),
        (3, "future"),
    ]


@pytest.mark.parametrize("minutes_ahead", [-4, 0.01, 4, 90])
def test_a_client_with_a_wrong_clock_gets_answers_to_its_own_clicks(
    root: Path, minutes_ahead: float
) -> None:
    asked = {"placement": "next", "visitor_id": "ann", "limit": 5}
    claimed = event("x")["ts"] + int(minutes_ahead * 60_000_000)
    with in_process(root) as client:
        before = client.post("/v1/recommendations", json=asked).json()
        assert send(client, [event("ann", "item-06", ts=claimed)]).json()["accepted"] == 1
        after = client.post("/v1/recommendations", json=asked).json()
        assert (before["fallback_level"], after["fallback_level"]) == ("popular", "session")
        assert send(client, [event("ann", "item-07", "dismiss", ts=claimed + 1)]).status_code == 202
        assert "item-07" not in item_ids(client.post("/v1/recommendations", json=asked))
        bought = [
            event("ann", "item-08", "add_to_cart", ts=claimed + 2),
            event("ann", "item-08", "purchase", ts=claimed + 3),
        ]
        assert send(client, bought).json()["accepted"] == 2
        assert client.get("/v1/visitors/ann").json()["cart"] == {}
        for record in stored(root):
            assert record.event.ts <= record.received_at
            assert record.clamped == (minutes_ahead == 90)
            assert (record.client_ts is not None) == (minutes_ahead > 0)


def test_envelopes_of_other_systems_are_opened(client: TestClient) -> None:
    measurement = {
        "client_id": "ga-1",
        "timestamp_micros": event("x")["ts"],
        "events": [
            {"name": "view_item", "params": {"items": [{"item_id": "item-06"}]}},
            {"name": "no_such_event", "params": {}},
        ],
    }
    answer = send(client, measurement).json()
    assert answer["accepted"] == 1
    assert [each["index"] for each in answer["rejected"]] == [1]
    asked = {"placement": "next", "visitor_id": "ga-1", "limit": 3}
    assert "item-06" in item_ids(client.post("/v1/recommendations", json=asked))


def test_a_large_batch_does_not_hold_up_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand events are read beside the event loop: it turns while they are."""
    body = json.dumps([event(f"v-{n}", params={"note": "x" * 700}) for n in range(1000)])
    assert 700_000 < len(body) < 1 << 20
    turned: list[bool] = []

    def beside(work: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            turn = threading.Event()
            loop.call_soon_threadsafe(turn.set)
            turned.append(turn.wait(10))  # on the loop itself it could never be set
            return work(*arguments)

        return wrapped

    async def send() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for name in ("parse_events", "normalised"):
            monkeypatch.setattr(events, name, beside(getattr(events, name), loop))
        app = create_app(Settings(root=root, dev=True))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                headers = {"Content-Type": "application/json"}
                answer = await client.post("/v1/events", content=body, headers=headers, timeout=60)
                return dict(answer.json())

    assert asyncio.run(send())["accepted"] == 1000
    assert turned == [True, True]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_json_is_json(client: TestClient, kind: str) -> None:
    body = json.dumps(event("ann"))
    answer = client.post("/v1/events", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 202


def test_counts_are_in_the_metrics(client: TestClient) -> None:
    send(client, [event("ann", event_id="e-1"), event("ann", event_id="e-1"), 7])
    text = client.get("/metrics").text
    assert 'desirepath_events_total{verdict="accepted"} 1.0' in text
    assert 'desirepath_events_total{verdict="rejected"} 2.0' in text or (
        'desirepath_events_total{verdict="duplicate"} 1.0' in text
    )
    assert 'desirepath_events_rejected_total{code="bad_event"} 1.0' in text
