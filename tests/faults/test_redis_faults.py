"""`make bench-faults` in short: the service loses its Redis in every way, and then its workers."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from benchmarks.faults import Plan, measured
from feature_store.console import Console
from tests.redis_server import needs_redis

SHORT = Plan(seconds=1.5, heal_seconds=1.5, kill_seconds=5.0, per_second=30.0, history=300)


@needs_redis
@pytest.mark.slow
def test_no_fault_costs_an_answer_an_event_or_a_record(tmp_path: Path) -> None:
    result = asyncio.run(measured(SHORT, tmp_path, Console(as_json=True)))
    assert [fault.name for fault in result.faults] == ["killed", "hung", "emptied", "slow"]
    for fault in result.faults:
        assert fault.during.availability == 1, (fault.name, fault.during.refused)
        assert fault.recovered_seconds is not None
        assert math.isfinite(fault.opened_seconds)
    assert result.killed_workers >= 2
    assert result.under_kills is not None
    assert result.under_kills.good + result.under_kills.retried == result.under_kills.valid
    for kept in result.kept.values():
        assert kept.events > 20
        assert kept.events_lost == 0
        assert set(kept.decisions) == {"control", "treatment"}
        assert kept.loss_share == 0
        assert kept.degraded > 10, "some answers were made without Redis"
