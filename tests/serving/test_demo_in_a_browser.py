"""The demonstration page in a real browser: it must draw, ask, send events and show the record."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from feature_store.records import EventRecord
from recommender.placements import DEFAULT_FILE
from tests.serving.service import records, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=8000",
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no chromium on this machine: the page was NOT tried in a browser",
)


def dom(url: str, profile: Path) -> str:
    """The page after its scripts have run."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout


def test_the_page_suggests_sends_events_and_shows_the_record(root: Path, tmp_path: Path) -> None:
    with running(root, "--dev", "--demo") as service:
        home = dom(f"{service.url}/demo?visitor=browser", tmp_path / "profile")
        assert "You may want to see" in home
        assert "rung popular" in home
        assert '"served_level": "popular"' in home
        item = dom(f"{service.url}/demo?visitor=browser&item=item-03", tmp_path / "profile")
        assert "rung session" in item
        assert "view_item item-03: on disk" in item
        assert '"served_level": "session"' in item
        back = dom(f"{service.url}/demo?visitor=browser", tmp_path / "profile")
        assert "rung session" in back
        assert "Pace of this visit:" in back
        assert re.search(r"Shown: \d+ items", back)


def test_what_was_passed_over_rests_and_then_the_shop_is_silent(root: Path, tmp_path: Path) -> None:
    placements = tmp_path / "placements.toml"
    text = DEFAULT_FILE.read_text("utf-8").replace('when_spent = "default"', 'when_spent = "empty"')
    placements.write_text(text.replace("session_budget = 20", "session_budget = 3"), "utf-8")
    with running(root, "--dev", "--demo", "--placements", str(placements)) as service:
        homes = [dom(f"{service.url}/demo?visitor=browser", tmp_path / "profile") for _ in range(4)]
        with service.client() as client:
            shown = client.get("/v1/visitors/browser").json()["exposures"]
    assert "view_item_list item-00" in homes[0]
    assert {each["count"] for each in shown} <= {1, 2, 3}
    assert "passed over 1 time" in homes[1]
    assert all('id="silence" class="silence" hidden' in home for home in homes[:3])
    assert "Nothing is suggested now, on purpose: so many lists were passed over" in homes[3]
    assert "Shown: nothing." in homes[3]


def test_visits_are_played_with_their_own_pauses(root: Path, tmp_path: Path) -> None:
    with running(root, "--dev", "--demo") as service:
        home = dom(f"{service.url}/demo", tmp_path / "profile")
        assert 'id="journeys" hidden' in home
        (root / "reports").mkdir()
        (root / "reports" / "journeys.html").write_text("<h1>Journeys</h1>")
        visits = {
            pace: dom(f"{service.url}/demo?play={pace}", tmp_path / "profile")
            for pace in ("hurried", "browsing")
        }
        assert all('id="journeys">' in visit for visit in visits.values())
        known = {pace: played(root, pace) for pace in visits}
    looked_at = {pace: {item for item, _ in views} for pace, views in known.items()}
    assert looked_at["hurried"] == looked_at["browsing"] != set()
    pauses = {pace: [b - a for (_, a), (_, b) in pairwise(views)] for pace, views in known.items()}
    assert max(pauses["hurried"]) < timedelta(seconds=6)
    assert min(pauses["browsing"]) > timedelta(seconds=40)


def played(root: Path, pace: str) -> list[tuple[str, datetime]]:
    """Items that the played visitor looked at, and when, oldest first."""
    events = [each.event for each in records(root) if isinstance(each, EventRecord)]
    return [
        (event.items[0].item_id, datetime.fromtimestamp(event.ts / 1e6, UTC))
        for event in sorted(events, key=lambda event: event.ts)
        if event.visitor_id.startswith(f"demo-{pace}-") and event.event_type == "view_item"
    ]
