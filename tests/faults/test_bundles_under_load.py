"""Bundles come and go under load: bad ones change nothing, good ones cost nothing."""

from __future__ import annotations

import json
import pickle  # noqa: TID251 - a canary: loading must never execute it
import time
from pathlib import Path

import httpx
import pytest

from feature_store.layout import StoreLayout
from recommender.bundle_folder import POINTER, publish
from tests.bundles import named_bundle
from tests.faults.bundle_mutants import Canary, deliver, mutants, point
from tests.serving.load import load
from tests.serving.service import publish_shop, running

POLL = {"DESIREPATH_BUNDLE_POLL_SECONDS": "0.01"}
WAIT_SECONDS = 15
SWAPS = 200


def count(client: httpx.Client, outcome: str) -> float:
    line = f'desirepath_bundle_swaps_total{{outcome="{outcome}"}} '
    text = client.get("/metrics").text
    return float(text.split(line)[1].split("\n")[0]) if line in text else 0.0


def wait_for(client: httpx.Client, outcome: str, least: float) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while count(client, outcome) < least:
        assert time.monotonic() < deadline, f"{outcome} stayed below {least}"
        time.sleep(0.005)


def wait_for_refusal(log: Path, mark: int, version: str, name: str) -> None:
    """Until the log, from `mark` on, says that this version was refused."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        lines = log.read_bytes()[mark:].decode().splitlines()
        if any("bundle refused" in line and version in line for line in lines):
            return
        assert time.monotonic() < deadline, f"{name} was not refused"
        time.sleep(0.005)


@pytest.mark.slow
def test_no_spoilt_bundle_is_ever_served(tmp_path: Path) -> None:
    """0 failed requests, 0 swaps, and no code of a bundle is run."""
    root, marker = tmp_path / "shop", tmp_path / "executed"
    version = publish_shop(root, seed=0)
    bundles = StoreLayout(root).bundles
    spoilt = mutants(marker)
    assert len(spoilt) >= 40
    pointers = [
        pickle.dumps(Canary(marker)),
        b'{"version": "../../outside", "previous": []}',
        b"[" * 100_000,
    ]
    with (
        running(root, "--dev", env=POLL) as process,
        process.client() as client,
        load(process.url, 2, rest_seconds=0.005) as tally,
    ):
        wait_for(client, "accepted", 1)
        for tried, (name, change) in enumerate(spoilt.items(), start=1):
            mark = process.log.stat().st_size
            refused = deliver(bundles, change, seed=tried)
            wait_for_refusal(process.log, mark, refused, name)
        for content in pointers:
            mark = process.log.stat().st_size
            (bundles / "pointer.new").write_bytes(content)
            (bundles / "pointer.new").rename(bundles / POINTER)
            wait_for_refusal(process.log, mark, POINTER, repr(content[:40]))
        assert count(client, "accepted") == 1
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["model_version"]) == (200, version)
        assert "desirepath_bundle_refused 1.0" in client.get("/metrics").text
        good = publish_after_all(root, bundles, version)
        wait_for(client, "accepted", 2)
        assert client.get("/health/ready").json()["model_version"] == good
    assert tally.failures == []
    assert len(tally.answers) > 100
    assert {answer["model_version"] for answer in tally.answers} <= {version, good}
    assert not marker.exists()


def publish_after_all(root: Path, bundles: Path, version: str) -> str:
    point(bundles, version)
    return publish_shop(root, seed=99)


@pytest.mark.slow
def test_two_hundred_swaps_cost_no_request_and_mix_nothing(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    bundles = StoreLayout(root).bundles
    names: dict[str, str] = {}
    for name in ("ash", "elm", "oak", "yew"):
        names[named_bundle(tmp_path / name, name)] = name
        publish(tmp_path / name, bundles)
    versions = list(names)
    asked = {"placement": "home", "limit": 50, "return_properties": True, "explain": True}
    with (
        running(root, "--dev", env=POLL) as process,
        process.client() as client,
        load(process.url, 2, asked, rest_seconds=0.005) as tally,
    ):
        wait_for(client, "accepted", 1)
        for swap in range(SWAPS):
            point(bundles, versions[swap % len(versions)])
            wait_for(client, "accepted", swap + 2)
    assert tally.failures == []
    assert len(tally.answers) > SWAPS
    seen = set()
    for answer in tally.answers:
        name = names[answer["model_version"]]
        seen.add(name)
        assert len(answer["items"]) == 50
        for item in answer["items"]:
            assert item["item_id"].startswith(name), json.dumps(answer)[:500]
            assert item["properties"]["title"] == name
    assert seen == set(names.values())
