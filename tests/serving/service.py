"""A shop to serve, and three ways to reach its service: in this process, and as a real one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import httpx
import pytest
from fastapi import FastAPI

from feature_store.event_log.reader import LogReader
from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord, EventRecord
from recommender.bundle_folder import publish
from serving.app import create_app, wall_clock
from serving.security import create_key_file
from serving.settings import Settings
from tests.bundles import saved_bundle
from tests.conftest import ROOT

START_SECONDS = 60


class TestClient:
    """Talks to an application that runs in a thread of its own, without sockets."""

    __test__ = False

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> TestClient:
        self._thread.start()
        self._lifespan = self.app.router.lifespan_context(self.app)
        self._run(self._lifespan.__aenter__())
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://shop.example")
        return self

    def __exit__(self, *error: object) -> None:
        self._run(self._client.aclose())
        self._run(self._lifespan.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        return self._run(self._client.request(method, url, **options))

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> httpx.Response:
        return self.request("PUT", url, **options)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


def publish_shop(root: Path, n: int = 20, seed: int = 0) -> str:
    """Deliver the known-answer shop into a data folder; returns the version."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "bundle"
        saved_bundle(source, n, seed)
        return publish(source, StoreLayout(root).bundles)


def event(visitor_id: str, item_id: str = "item-00", kind: str = "view_item", **more: Any) -> dict:
    """An event that happens now."""
    return {
        "event_type": kind,
        "visitor_id": visitor_id,
        "ts": wall_clock(),
        "items": [{"item_id": item_id}],
    } | more


def item_ids(answer: httpx.Response) -> list[str]:
    """The items of an answer."""
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def records(root: Path) -> list[EventRecord | DecisionRecord]:
    """Everything in the log."""
    return [entry.record for entry in LogReader(StoreLayout(root).log)]


def decisions(root: Path) -> list[DecisionRecord]:
    """The decision records in the log."""
    return [each for each in records(root) if isinstance(each, DecisionRecord)]


@contextmanager
def in_process(root: Path, **settings: Any) -> Iterator[TestClient]:
    """The application without sockets; no key is asked for unless `dev` is False.

    Nothing is left to chance unless `explore` is True.
    """
    given = {"root": root, "dev": True, "bundle_poll_seconds": 0.05, "explore": False} | settings
    with TestClient(create_app(Settings(**given))) as client:
        yield client


def make_keys(root: Path) -> dict[str, str]:
    """Keys for a data folder, as the first start makes them."""
    return create_key_file(root / "keys.json", os.urandom)


@dataclass(slots=True)
class Process:
    """A running service."""

    child: subprocess.Popen[bytes]
    url: str
    log: Path
    output: IO[bytes] = field(repr=False)

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def stop(self) -> int:
        """SIGTERM, then its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(30)
        finally:
            self.child.kill()
            self.child.wait()
            self.output.close()
            if self.child.stdout:
                self.child.stdout.close()


def start(
    root: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    command: list[str] | None = None,
) -> Process:
    """Start `python -m serving` on a free port, with one worker, and wait for its first line."""
    log = root.with_name(root.name + ".log")
    output = log.open("ab")
    child = subprocess.Popen(
        [
            *(command or [sys.executable, "-m", "serving"]),
            *("--root", str(root), "--port", "0", "--json", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=output,
        cwd=ROOT,
        env={**os.environ, "DESIREPATH_EXPLORE": "false", "DESIREPATH_WORKERS": "1", **(env or {})},
    )
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        child.wait(START_SECONDS)
        child.stdout.close()
        output.close()
        raise AssertionError(f"the service ended: {log.read_text()[-3000:]}")
    return Process(child, json.loads(line)["url"], log, output)


def children(pid: int) -> list[int]:
    """The processes that a process has forked and that live."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(each) for each in text.split()]


def workers(process: Process) -> list[int]:
    """The workers of all generations of a service that has several workers."""
    return [pid for generation in children(process.child.pid) for pid in children(generation)]


@contextmanager
def running(root: Path, *options: str, **more: Any) -> Iterator[Process]:
    """A real service for the time of a ``with`` block."""
    process = start(root, *options, **more)
    try:
        yield process
    finally:
        process.stop()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something holds that another thread of the service brings about."""
    event = threading.Event()
    for _ in range(500):
        if condition():
            return
        event.wait(0.02)
    pytest.fail("it did not happen within ten seconds")


def header_bytes(headers: Mapping[str, str] | None) -> dict[str, bytes]:
    """Headers with values of any byte; as text httpx takes ASCII alone."""
    return {name: value.encode("latin-1", "replace") for name, value in (headers or {}).items()}
