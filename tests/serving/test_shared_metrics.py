"""Metrics of processes that ended: what they counted stays, their files and gauges go."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families

from serving import shared_metrics
from serving.metrics_folder import VARIABLE
from serving.shared_metrics import gather
from serving.telemetry import Metrics

WORKER = """
import os
from serving.telemetry import Metrics
metrics = Metrics()
for _ in range(3):
    metrics.answered("/v1/recommendations", 200, 0.004)
metrics.recommended("für dich 🛒", "popular")
metrics.breakers_open.labels("redis").set(1)
metrics.tell()
print(os.getpid())
"""
GATHERER = "import sys; from serving.shared_metrics import gather; [*map(gather, range(1, {n}))]"
REQUESTS = "desirepath_requests_total"
MANY = 150


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def ended_worker() -> int:
    """A process that counted three requests, and ended."""
    done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, check=True)
    return int(done.stdout)


def samples() -> dict[tuple[str, ...], float]:
    """What somebody sees who looks, by name and labels."""
    families = text_string_to_metric_families(Metrics().render().decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def counted(found: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    ends = ("_total", "_bucket", "_sum", "_count")
    return {name: value for name, value in found.items() if name[0].endswith(ends)}


def total() -> float:
    return sum(value for name, value in samples().items() if name[0] == REQUESTS)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.db")}


def write_count(folder: Path, pid: int) -> None:
    labels = {"route": f"/{pid}", "status": "200"}
    key = mmap_key("desirepath_requests", REQUESTS, [*labels], [*labels.values()], "x")
    written = MmapedDict(str(folder / f"counter_{pid}.db"))
    written.write_value(key, 1.0, 0.0)
    written.close()


def test_counts_of_those_who_have_gone_stay_and_their_files_go(folder: Path) -> None:
    first, second = ended_worker(), ended_worker()
    before = samples()
    assert total() == 6
    assert before["desirepath_breaker_open", "redis"] == 2
    gather(first)
    assert counted(samples()) == counted(before)
    assert samples()["desirepath_breaker_open", "redis"] == 1
    gather(second)
    gather(second)
    assert counted(samples()) == counted(before)
    assert ("desirepath_breaker_open", "redis") not in samples()
    assert files(folder) == {"counter_gone.db", "histogram_gone.db"}


def test_who_looks_meanwhile_sees_nothing_twice_and_misses_nothing(folder: Path) -> None:
    for pid in range(1, MANY):
        write_count(folder, pid)
    with subprocess.Popen([sys.executable, "-c", GATHERER.format(n=MANY)]) as gatherer:
        while gatherer.poll() is None:
            assert total() == MANY - 1
    assert gatherer.returncode == 0
    assert total() == MANY - 1
    assert files(folder) == {"counter_gone.db"}


@pytest.mark.parametrize("content", [b"", b"\x40\x00\x00\x00" + b"\x00" * 4 + b"\x7f" * 56])
def test_a_damaged_file_stops_nobody(folder: Path, content: bytes) -> None:
    write_count(folder, 1)
    gather(1)
    (folder / "counter_2.db").write_bytes(content)
    gather(2)
    assert total() == 1
    assert files(folder) == {"counter_gone.db"}


def test_where_the_disk_is_full_counts_stay_where_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_count(folder, 1)
    gather(1)
    write_count(folder, 2)
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    gather(2)
    assert total() == 2
    assert files(folder) == {"counter_gone.db", "counter_2.db"}


def test_nobody_stands_still_for_a_look_that_does_not_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_metrics, "_PAUSE_SECONDS", 0.0)
    write_count(folder, 1)
    with (folder / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        gather(1)
        assert files(folder) == {"counter_1.db"}
        assert total() == 1
    gather(1)
    assert total() == 1
    assert files(folder) == {"counter_gone.db"}


def test_a_process_alone_has_nothing_to_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    gather(os.getpid())
