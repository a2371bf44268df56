"""What the kernel was really asked to do, in which order: write, sync, then the acknowledgement."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

BATCHES = 12
CHILD = """
import os, sys
from pathlib import Path
from feature_store.event_log.store import LogStoreOptions
from feature_store.event_log.writer import SegmentOptions
from feature_store.intake import Intake, IntakeOptions
from feature_store.layout import StoreLayout
from tests.faults.log_worker import NoSink, TS, make_decision, make_event
segments = SegmentOptions(segment_bytes=2500)
options = IntakeOptions(log=LogStoreOptions(segments))
intake = Intake(StoreLayout(Path(sys.argv[1])), NoSink(), lambda: TS, "w", options)
intake.open()
for batch in range(int(sys.argv[2])):
    ids = [f"e{batch}.{n}" for n in range(4)]
    intake.submit([make_event(each) for each in ids], [b""] * 4).result(30)
    os.write(1, b"acknowledged %d\\n" % batch)
intake.record(make_decision("d"))
os.write(1, b"answered\\n")
intake.close()
"""
CALL = re.compile(
    r"(?:\[pid\s+\d+\] |\d+ +)?(?P<name>\w+)\((?P<arguments>.*)\)\s+=\s+(?P<result>-?\d+)"
)


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str

    def is_on(self, pattern: str) -> bool:
        return re.search(pattern, self.arguments) is not None


def traced(folder: Path) -> list[Call]:
    if shutil.which("strace") is None:
        pytest.skip("THE ORDER OF SYSTEM CALLS WAS NOT TESTED: strace is not installed")
    trace = folder / "trace.txt"
    wanted = "trace=write,pwrite64,writev,fdatasync,fsync,openat,rename,renameat,renameat2,link"
    done = subprocess.run(
        [
            *("strace", "-f", "-y", "-s", "4096", "-e", wanted, "-o", str(trace)),
            *(sys.executable, "-c", CHILD, str(folder / "data"), str(BATCHES)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    if "ptrace" in done.stderr and not trace.exists():
        pytest.skip(f"THE ORDER OF SYSTEM CALLS WAS NOT TESTED: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return _joined(trace.read_text().splitlines())


def _joined(lines: list[str]) -> list[Call]:
    """Calls in the order they ended; strace splits those that another thread interrupts."""
    begun: dict[str, str] = {}
    calls = []
    for line in lines:
        process, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[process] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
        if resumed:
            text = begun.pop(process) + resumed[1]
        found = CALL.match(text)
        if found and int(found["result"]) >= 0:
            calls.append(Call(found["name"], found["arguments"]))
    return calls


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    return traced(tmp_path_factory.mktemp("trace"))


def places(calls: list[Call], name: str, pattern: str) -> list[int]:
    return [place for place, call in enumerate(calls) if call.name == name and call.is_on(pattern)]


def test_each_batch_is_written_then_synced_then_acknowledged(calls: list[Call]) -> None:
    before = 0
    for batch in range(BATCHES):
        (said,) = places(calls, "write", rf'"acknowledged {batch}\\n"')
        between = calls[before:said]
        # Its own events: the thread that writes may already be busy with the next segment's head.
        writes = places(between, "write", rf"\.seg>.*\be{batch}\.3")
        syncs = places(between, "fdatasync", r"\.seg>")
        assert writes, f"batch {batch} was not written"
        assert syncs
        assert syncs[-1] > writes[-1], f"batch {batch} was acknowledged before it was synced"
        before = said


def test_a_new_segment_and_its_name_are_synced_before_a_record_goes_into_it(
    calls: list[Call],
) -> None:
    created = places(calls, "openat", r"\.seg\", .*O_CREAT")
    assert len(created) > 3, "the run rotates"
    for place in created:
        name = re.search(r"(w\.1-\d+\.seg)", calls[place].arguments)
        assert name is not None
        after = calls[place + 1 :]
        writes = places(after, "write", re.escape(name[1]))
        file_sync = places(after, "fdatasync", re.escape(name[1]))[0]
        folder_sync = places(after, "fsync", r"/log>")[0]
        assert writes[0] < file_sync < folder_sync
        assert folder_sync < writes[1], "the first record, or the end mark"


def test_a_renamed_file_is_synced_before_and_its_folder_after(calls: list[Call]) -> None:
    renamed = [
        place
        for place, call in enumerate(calls)
        if call.name in ("rename", "renameat", "renameat2")
    ]
    assert renamed, "the mark of the index is put in place by a rename"
    for place in renamed:
        assert any(call.name in ("fsync", "fdatasync") for call in calls[:place])
        assert any(call.name == "fsync" for call in calls[place + 1 :][:5])


def test_a_decision_is_written_before_the_answer_and_synced_afterwards(calls: list[Call]) -> None:
    (said,) = places(calls, "write", r'"answered\\n"')
    (last,) = places(calls, "write", rf'"acknowledged {BATCHES - 1}\\n"')
    assert places(calls[last:said], "write", r"\.seg>"), "with the operating system at once"
    assert places(calls[said:], "fdatasync", r"\.seg>")
