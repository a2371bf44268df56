"""The service as a process of its own: start, keys, limits over real sockets, workers."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from feature_store.cores import usable_cores
from tests.conftest import ROOT
from tests.serving.load import load
from tests.serving.service import decisions, event, item_ids, running, start, workers

DESIREPATH = [sys.executable, "-m", "desirepath", "serve"]
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.serving.service import publish_shop

    root = tmp_path_factory.mktemp("process") / "shop"
    publish_shop(root)
    with running(root, "--dev", "--log-level", "debug") as process:
        yield process


def printed_keys(log: str) -> dict[str, str]:
    words = log.split()
    return {word.split("_")[1]: word for word in words if word.startswith("dp_")}


@pytest.mark.parametrize("command", [None, DESIREPATH], ids=["python -m serving", "desirepath"])
def test_the_first_start_makes_keys_and_prints_them_once(
    root: Path, command: list[str] | None
) -> None:
    process = start(root, command=command)
    try:
        keys = printed_keys(process.log.read_text())
        assert keys.keys() == {"server", "browser", "admin"}
        with process.client(headers={"Authorization": f"Bearer {keys['server']}"}) as client:
            assert item_ids(client.post("/v1/recommendations", json={"placement": "home"}))
        with process.client() as client:
            answer = client.post("/v1/recommendations", json={"placement": "home"})
            assert answer.status_code == 401
    finally:
        assert process.stop() == 0
    process.log.unlink()
    with running(root, command=command) as again:
        assert printed_keys(again.log.read_text()) == {}
        with again.client(headers={"X-API-Key": keys["admin"]}) as client:
            assert client.get("/v1/visitors/ann").status_code == 200


def test_a_question_uses_one_thread(root: Path) -> None:
    """The libraries of linear algebra start no threads of their own, whatever the command."""
    for command in (None, DESIREPATH):
        with running(root, "--dev", command=command) as process:
            status = Path(f"/proc/{process.child.pid}/status").read_text()
            threads = int(status.split("Threads:")[1].split()[0])
            # main; sources of bundles, rules, experiments and arms' models; intake; online store
            assert threads <= 7, command


@pytest.mark.parametrize(
    ("options", "env", "said"),
    [
        (["--port", "99999"], {}, "port"),
        ([], {"DESIREPATH_PROT": "1"}, "DESIREPATH_PROT"),
        (["--placements", "/nowhere.toml"], {}, "nowhere.toml"),
        (["--host", "192.0.2.1"], {}, "192.0.2.1"),
    ],
)
def test_what_cannot_be_used_ends_with_code_2_and_says_why(
    root: Path, options: list[str], env: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving", "--root", str(root), "--dev", *options],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_an_error(service: Any, tmp_path: Path) -> None:
    port = str(urlsplit(service.url).port)
    done = subprocess.run(
        [sys.executable, "-m", "serving", "--root", str(tmp_path), "--dev", "--port", port],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "in use" in done.stderr


def _mixed(rng: random.Random, n: int) -> list[tuple[str, bytes, bool]]:
    """(path, body, is valid) of n seeded requests."""

    def recommendation() -> dict[str, Any]:
        body: dict[str, Any] = {"placement": rng.choice(["home", "item", "cart", "next"])}
        if rng.random() < 0.7:
            body["visitor_id"] = f"v-{rng.randrange(50)}"
        if rng.random() < 0.5:
            body["limit"] = rng.choice([1, 5, 100, 10**9])
        if rng.random() < 0.5:
            body["context"] = {"item_ids": [f"item-{rng.randrange(30):02d}"]}
        if rng.random() < 0.3:
            body["filter"] = {"category": rng.choice(["garden", "kitchen", "?"])}
        return body

    def events() -> list[dict[str, Any]]:
        kinds = ["view_item", "add_to_cart", "dismiss"]
        return [
            event(f"v-{rng.randrange(50)}", f"item-{rng.randrange(30):02d}", rng.choice(kinds))
            for _ in range(rng.randrange(1, 5))
        ]

    def broken(body: bytes) -> bytes:
        return rng.choice(
            [
                body[:-1],
                body + b"}",
                body.replace(b'"placement"', b'"placemnt"'),
                b'{"placement":"home","limit":%s}'
                % rng.choice([b"0", b"-5", b"NaN", b"1e999", b'"5"', b"99999999999999999999"]),
                b'{"placement":"home","placement":"home"}',
                b'{"placement":"home","visitor_id":"\\ud800"}',
                b'{"placement":"home","visitor_id":"\xff"}',
                b'{"placement":"cellar"}',
                body.decode().encode("utf-16"),
                b'{"placement":"home","filter":' + b"[" * 900 + b"]" * 900 + b"}",
                rng.randbytes(40),
                b"x" * (MEBIBYTE + 1),
            ]
        )

    made: list[tuple[str, bytes, bool]] = []
    for _ in range(n):
        if rng.random() < 0.3:
            made.append(("/v1/events", json.dumps(events()).encode(), True))
            continue
        body = json.dumps(recommendation()).encode()
        is_valid = rng.random() < 0.5
        made.append(("/v1/recommendations", body if is_valid else broken(body), is_valid))
    return made


def test_a_thousand_mixed_requests(service: Any) -> None:
    """No server error; each valid request is answered; each refusal says why."""
    headers = {"Content-Type": "application/json"}
    with service.client(headers=headers) as client:
        for path, body, is_valid in _mixed(random.Random(20260131), 1000):
            answer = client.post(path, content=body)
            if is_valid:
                assert answer.status_code == (202 if path == "/v1/events" else 200), answer.text
            else:
                assert 400 <= answer.status_code < 500, (body[:80], answer.text)
                assert len(answer.json()["detail"]) > 10
                assert answer.json()["code"]
        assert 'status="500"' not in client.get("/metrics").text


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("declares_length", [False, True])
def test_a_body_without_end_is_cut_off_and_costs_no_memory(
    service: Any, declares_length: bool
) -> None:
    address = urlsplit(service.url)
    before, sent, answer = rss_bytes(service.child.pid), 0, b""
    with socket.create_connection((address.hostname, address.port), timeout=10) as caller:
        how = b"Content-Length: 200000000" if declares_length else b"Transfer-Encoding: chunked"
        caller.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
            + how
            + b"\r\n\r\n"
        )
        chunk = b" " * 65536 if declares_length else b"10000\r\n" + b" " * 65536 + b"\r\n"
        caller.setblocking(False)
        deadline = time.monotonic() + 5
        while sent < 64 * MEBIBYTE and time.monotonic() < deadline:
            try:
                sent += caller.send(chunk)
            except BlockingIOError:
                time.sleep(0.002)
            except OSError:
                break
            try:
                answer += caller.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                break
    assert b"413" in answer.split(b"\r\n")[0]
    assert b"body_too_large" in answer
    assert rss_bytes(service.child.pid) - before < 20 * MEBIBYTE
    with service.client() as client:
        assert client.get("/health/live").status_code == 200


def test_nothing_secret_is_ever_said(root: Path) -> None:
    canary, wrong = "canary-visitor-7c1e", "canary-key-5f2d"
    process = start(root, "--log-level", "debug")
    keys = printed_keys(process.log.read_text())
    shown_once = process.log.stat().st_size
    said: list[str] = []
    try:
        with process.client() as client:
            for key in (keys["server"], keys["admin"], wrong):
                for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
                    client.headers = httpx.Headers(headers)
                    asked = {"placement": "home", "visitor_id": canary}
                    said += [
                        client.post("/v1/events", json=event(canary)).text,
                        client.post("/v1/events", json=event(canary, ts=-1)).text,
                        client.post("/v1/recommendations", json=asked).text,
                        client.post("/v1/recommendations", json=asked | {"limit": 0}).text,
                        client.get(f"/nothing/{canary}").text,
                        client.get("/metrics").text,
                        client.get("/health/ready").text,
                    ]
                    client.get(f"/v1/visitors/{canary}")
    finally:
        assert process.stop() == 0
    said.append(process.log.read_bytes()[shown_once:].decode())
    recorded = "".join(map(repr, decisions(root)))
    assert "DecisionRecord" in recorded
    for secret in (wrong, *keys.values()):
        assert not any(secret in each for each in [*said, recorded])
    assert not any(canary in each for each in [*said, recorded])


def test_the_log_is_one_json_object_per_line(service: Any) -> None:
    lines = service.log.read_text().splitlines()
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"ts", "level", "logger", "message"} <= parsed[0].keys()
    assert not any("/v1/recommendations" in line for line in lines)  # no access log


def test_there_is_one_worker_per_core_where_no_number_is_named(root: Path) -> None:
    cores = usable_cores()
    with running(root, "--dev", env={"DESIREPATH_WORKERS": "0"}) as process:
        # One alone answers itself, without anybody above it.
        assert len(workers(process)) == (cores if cores > 1 else 0)


def test_workers_share_a_port_their_metrics_and_their_fate(root: Path) -> None:
    with running(root, "--dev", "--workers", "2") as process:
        before = workers(process)
        assert len(before) == 2
        answered = 0
        for n in range(40):  # a connection each, so that both workers get some
            with process.client() as client:
                tell = client.post("/v1/events", json=event(f"v-{n}", "item-06"))
                assert tell.json()["accepted"] == 1
            with process.client() as client:
                asked = {"placement": "next", "visitor_id": f"v-{n}"}
                answer = client.post("/v1/recommendations", json=asked)
                assert answer.json()["fallback_level"] == "session"
                answered += 1
        with process.client() as client:
            text = client.get("/metrics").text
            line = 'desirepath_recommendations_total{level="session",placement="next"} '
            assert float(text.split(line)[1].split("\n")[0]) == answered
        os.kill(before[0], signal.SIGKILL)
        with load(process.url, 2) as tally:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                time.sleep(0.1)
                now = workers(process)
                if len(now) == 2 and before[0] not in now and len(tally.answers) > 200:
                    break
        assert set(workers(process)) - set(before)
        assert tally.statuses.keys() == {200}
        last = workers(process)
        assert process.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in last)
    assert len({record.writer for record in decisions(root)}) == 2
