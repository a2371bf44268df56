"""The page on the log: its code runs, its numbers are those of the code."""

from __future__ import annotations

import re

import pytest

from feature_store import dedup, verdicts
from feature_store.event_log import frame
from feature_store.intake_committer import IntakeOptions
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "event-log.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_code_of_the_page_runs(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in BLOCK.findall(PAGE):
        exec(compile(block, "event-log.md", "exec"), {})  # noqa: S102 - our own page
    said = capsys.readouterr().out
    assert "['accepted', 'duplicate']" in said
    assert "serve.1-0000000001.seg" in said


def test_the_page_says_what_the_code_does() -> None:
    assert frame.MAGIC.decode("ascii").replace("\r\n", r"\r\n") in PAGE
    assert frame.MARKER.hex(" ").upper() in PAGE
    assert f"at most {frame.MAX_BODY_BYTES >> 20} MiB" in PAGE
    assert dedup.GENERATION_MICROS == 8 * verdicts.DAY_MICROS
    assert dedup.GENERATION_MICROS >= (
        verdicts.REFUSED_LATE_AFTER_MICROS + verdicts.REFUSED_AHEAD_MICROS
    )
    options = IntakeOptions()
    assert f"{options.max_waiting_events:,} waiting events" in PAGE
    assert f"about {options.max_group_events:,} events" in PAGE
    assert f"{options.quarantine_bytes >> 20} MB" in PAGE
    assert f"{options.log.segments.segment_bytes >> 20} MB" in PAGE
