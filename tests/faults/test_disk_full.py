"""A disk that is really full: a small tmpfs, filled by another file, then freed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

CHILD = """
import ctypes, errno, json, os, sys, time
from pathlib import Path

folder, options, mode = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, options.encode()) != 0:
    print(json.dumps({"unmountable": os.strerror(ctypes.get_errno())}))
    sys.exit()

from feature_store.event_log import LogReader
from feature_store.event_log.store import LogStoreOptions
from feature_store.event_log.writer import SegmentOptions
from feature_store.intake import Intake, IntakeOptions
from feature_store.layout import StoreLayout
from recommender.errors import StorageFullError
from tests.faults.log_worker import NoSink, TS, make_decision, make_event

segments = SegmentOptions(segment_bytes=60_000)
options = IntakeOptions(log=LogStoreOptions(segments, dedup_map_bytes=1 << 21), retry_seconds=0.05)
intake = Intake(StoreLayout(folder), NoSink(), lambda: TS, "w", options)
intake.open()
accepted, refused, decided, lost = [], 0, [], 0
sent = 0

def send():
    global refused, lost, sent
    sent += 1
    ids = [f"e{sent}.{n}" for n in range(20)]
    if intake.record(make_decision(f"d{sent}")) is None:
        lost += 1
    else:
        decided.append(f"d{sent}")
    try:
        verdicts = intake.submit([make_event(each) for each in ids], [b""] * 20).result(30)
    except StorageFullError as error:
        assert error.retry_after_seconds > 0
        refused += 1
        return False
    assert [verdict.status for verdict in verdicts] == ["accepted"] * 20
    accepted.extend(ids)
    return True

def fill():
    if mode == "inodes":
        for number in range(100_000):
            try:
                (folder / f"f{number}").touch()
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return
    with (folder / "filler").open("wb", buffering=0) as stream:
        size = 1 << 16
        while size:
            try:
                stream.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
                size //= 2

def free():
    for path in folder.glob("f[0-9i]*"):
        path.unlink()

rounds = []
for _ in range(3):
    for _ in range(10):
        assert send()
    before = len(accepted)
    fill()
    full = 0
    for _ in range(600 if mode == "space" else 60):
        full += not send()
        if full >= 5:
            break
        time.sleep(0.002)
    while_full = len(accepted) - before
    free()
    deadline = time.monotonic() + 20
    while not send():
        assert time.monotonic() < deadline, "did not recover"
        time.sleep(0.02)
    rounds.append([full, while_full])
while intake.record(make_decision("last")) is None:
    time.sleep(0.01)
decided.append("last")
intake.close()

reader = LogReader(folder / "log")
ids, seqs = [], []
for entry in reader:
    record = entry.record
    ids.append(getattr(record, "decision_id", None) or record.event.event_id)
    seqs.append(record.seq)
print(json.dumps({
    "rounds": rounds, "refused": refused, "lost": lost,
    "missing": sorted(set(accepted + decided) - set(ids)),
    "repeated": len(ids) - len(set(ids)),
    "phantoms": sorted(set(ids) - set(accepted + decided)),
    "torn": reader.counts.torn_bytes, "damaged": reader.counts.damaged,
    "seqs": seqs == sorted(set(seqs)), "gaps": max(seqs) + 1 - len(seqs),
    "abandoned": intake.counters.segments_abandoned,
    "counted_lost": intake.counters.decisions_lost,
    "segments": len(reader.positions),
}))
"""


def full_disk(folder: Path, options: str, mode: str) -> dict[str, object]:
    """Fill a tmpfs of one's own in a child with its own mount namespace."""
    names = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    done = subprocess.run(
        [*names, sys.executable, "-c", CHILD, str(folder), options, mode],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    if done.returncode != 0 and "unshare" in done.stderr.splitlines()[-1:][0]:
        pytest.skip(f"NO FULL DISK WAS TESTED: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    if "unmountable" in found:
        pytest.skip(f"NO FULL DISK WAS TESTED: tmpfs cannot be mounted: {found['unmountable']}")
    return found


@pytest.mark.parametrize(
    ("options", "mode"),
    [("size=4m", "space"), ("size=6m,nr_inodes=60", "inodes")],
    ids=["no space", "no inode"],
)
def test_a_full_disk_refuses_and_recovers_without_a_restart(
    tmp_path: Path, options: str, mode: str
) -> None:
    found = full_disk(tmp_path, options, mode)
    rounds = found["rounds"]
    assert isinstance(rounds, list)
    if mode == "space":
        assert all(full >= 5 for full, _ in rounds), rounds
        assert found["lost"] == found["counted_lost"] != 0
    assert found["missing"] == [], "acknowledged and lost"
    assert found["repeated"] == 0
    assert found["phantoms"] == [], "refused and yet there"
    assert found["torn"] == found["damaged"] == 0
    assert found["seqs"]
    assert found["gaps"] == 0
    assert found["abandoned"] == 0
