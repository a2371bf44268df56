"""One trial of a freshly started service, for machines that cannot look at a page."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from feature_store.console import Console
from recommender.errors import DataError
from training.demo.steps import STRANGER, argv, stranger_views

START_ATTEMPTS, START_PAUSE_SECONDS = 300, 0.1


def ask_once(command: Sequence[str], url: str, visitor: str, console: Console) -> dict[str, object]:
    """Start the service, ask for a known visitor and a stranger, show it an event, ask again."""
    server = subprocess.Popen(argv(command), stdout=subprocess.DEVNULL)
    try:
        _wait_until_ready(server, url)
        asked: dict[str, object] = {"placement": "home", "visitor_id": visitor, "limit": 3}
        known = _post(f"{url}/v1/recommendations", asked)
        stranger = _post(f"{url}/v1/recommendations", asked | {"visitor_id": STRANGER})
        event = stranger_views(stranger["items"][0]["item_id"])
        verdict = _post(f"{url}/v1/events", event)
        after = _post(f"{url}/v1/recommendations", asked | {"visitor_id": STRANGER})
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=30)
    console.say(f"the service stopped with exit code {code}")
    answers = {"known": known, "stranger": stranger, "stranger_after_a_view": after}
    return {"event": verdict, "exit_code": code} | {
        name: {
            "fallback_level": answer["fallback_level"],
            "items": [item["item_id"] for item in answer["items"]],
        }
        for name, answer in answers.items()
    }


def _wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(START_ATTEMPTS):
        if server.poll() is not None:
            raise DataError(f"the service ended with exit code {server.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=2):  # noqa: S310 - loopback
                return
        except OSError:  # not there yet, or, on a busy machine, too slow to answer
            time.sleep(START_PAUSE_SECONDS)
    raise DataError(f"{url} was not ready within {START_ATTEMPTS * START_PAUSE_SECONDS:.0f} s")


def _post(url: str, body: Mapping[str, object]) -> dict[str, Any]:
    content = json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
        return dict(json.load(response))


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
