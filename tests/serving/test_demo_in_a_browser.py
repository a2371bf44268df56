"""The demonstration page in a real browser: it must draw, ask, send events and show the record."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving.service import running

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
