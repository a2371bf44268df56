"""The log has no space left: events are refused with a hint, suggestions go on, and it heals."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_store.event_log.reader import LogReader
from feature_store.records import DecisionRecord, EventRecord
from tests.serving.service import Process, event, item_ids, publish_shop, start

# A disk of its own for the log, seen by the service only.
MOUNT = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'


NOW = time.time_ns() // 1000


def can_mount() -> bool:
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs tmpfs "$0"', "/tmp"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    if not can_mount():
        pytest.skip("this machine lets nobody mount a tmpfs in a namespace of its own")
    root = tmp_path / "shop"
    publish_shop(root)
    (root / "log").mkdir()
    command = ["unshare", "-rm", "sh", "-c", MOUNT, str(root / "log"), sys.executable]
    process = start(root, "--dev", command=[*command, "-m", "serving"])
    yield process
    process.stop()


def log_of(process: Process) -> Path:
    """The log folder as the service sees it."""
    root = process.log.with_suffix("")
    return Path(f"/proc/{process.child.pid}/root{root}/log")


def send(client: httpx.Client, number: int) -> httpx.Response:
    body = event(f"v-{number}", "item-06", event_id=f"e-{number}", ts=NOW + number)
    return client.post("/v1/events", json=[body | {"params": {"pad": "x" * 900}}])


def recommended(client: httpx.Client, visitor_id: str) -> list[str]:
    asked = {"placement": "home", "visitor_id": visitor_id, "limit": 5}
    return item_ids(client.post("/v1/recommendations", json=asked))


def test_full_then_free(small_disk: Process) -> None:
    process, accepted = small_disk, []
    with process.client() as client:
        assert send(client, 0).status_code == 202
        log = log_of(process)
        with (log / "ballast").open("wb") as ballast:  # all but some room for a few records
            status = os.statvfs(log)
            ballast.write(bytes(status.f_bavail * status.f_frsize - 32 * 1024))
        for number in range(1, 200):
            answer = send(client, number)
            if answer.status_code != 202:
                break
            accepted.append(number)
        assert answer.status_code == 507, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["code"] == "storage_full"
        for _ in range(50):  # decisions no longer fit, answers do not suffer
            assert len(recommended(client, "v-1")) == 5
        assert client.get("/health/ready").status_code == 200
        assert send(client, 1000).status_code == 507
        metrics = client.get("/metrics").text
        assert float(metrics.split("\ndesirepath_storage_full_total ")[1].split()[0]) >= 2
        assert float(metrics.split("\ndesirepath_decisions_lost_total ")[1].split()[0]) > 0

        (log / "ballast").unlink()
        deadline = time.monotonic() + 10
        while (answer := send(client, 1001)).status_code == 507:
            assert time.monotonic() < deadline, "it did not heal"
            time.sleep(0.2)
        assert answer.json()["accepted"] == 1
        assert answer.status_code == 202
        assert send(client, 1).json()["duplicates"] == 1
        assert len(recommended(client, "v-1001")) == 5
        reader = LogReader(log)
        records = [entry.record for entry in reader]
        stored = [each.event.event_id for each in records if isinstance(each, EventRecord)]
        assert stored == ["e-0", *(f"e-{number}" for number in accepted), "e-1001"]
        assert reader.counts.damaged == 0
        assert any(isinstance(each, DecisionRecord) for each in records)


# The whole data folder on a full disk, and a service that is started there once more.
RESTART = """
mount -t tmpfs -o size=8m tmpfs "$1" && cp -r "$2"/. "$1"
"$3" -m serving --root "$1" --dev --port 0 --json > "$4" & P=$!
while [ ! -s "$4" ]; do sleep 0.1; done
kill -TERM $P; wait $P || exit 9
dd if=/dev/zero of="$1/ballast" bs=4k 2> /dev/null
exec "$3" -m serving --root "$1" --dev --port 0 --json
"""


@pytest.mark.skipif(not can_mount(), reason="nobody may mount a tmpfs in a namespace here")
def test_a_service_starts_on_a_full_disk_and_heals(tmp_path: Path) -> None:
    root, shop = tmp_path / "root", tmp_path / "shop"
    root.mkdir()
    publish_shop(shop)
    given = [str(root), str(shop), sys.executable, str(tmp_path / "first")]
    command = ["unshare", "-rm", "sh", "-c", RESTART, "sh", *given]
    process = start(root, command=command)
    try:
        with process.client() as client:
            assert send(client, 0).status_code == 507
            assert len(recommended(client, "v-0")) == 5
            assert client.get("/health/ready").status_code == 200
            (log_of(process).parent / "ballast").unlink()
            deadline = time.monotonic() + 10
            while (answer := send(client, 1)).status_code == 507:
                assert time.monotonic() < deadline, "it did not heal"
                time.sleep(0.2)
            assert answer.json()["accepted"] == 1
            asked = {"placement": "home", "visitor_id": "v-1"}
            answer = client.post("/v1/recommendations", json=asked)
            assert answer.json()["fallback_level"] == "session"
    finally:
        process.stop()
