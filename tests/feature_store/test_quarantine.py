"""What is kept of rejected events, what is not, and how they are sent again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from feature_store.dialects import normalise
from feature_store.events import InteractionEvent
from feature_store.intake_counters import IntakeCounters
from feature_store.layout import StoreLayout
from feature_store.quarantine import (
    NotKept,
    Quarantine,
    QuarantineEntry,
    Reject,
    quarantine_files,
    read_quarantine,
)
from feature_store.quarantine_replay import Replayed, replay, unreplayed
from feature_store.verdicts import Verdict
from recommender.errors import InvalidEventError
from tests.feature_store.log_cases import DAY, NOW, event


def make(folder: Path, max_bytes: int = 1 << 20) -> tuple[Quarantine, IntakeCounters]:
    counters = IntakeCounters()
    return Quarantine(folder, "w.1", max_bytes, counters), counters


def reject(code: str = "bad", raw: bytes = b"{}", detail: str = "no") -> Reject:
    return Reject(NOW, code, detail, "e1", raw)


def entries(folder: Path) -> list[QuarantineEntry]:
    return [
        entry
        for path in quarantine_files(folder)
        for _, entry in read_quarantine(path)
        if isinstance(entry, QuarantineEntry)
    ]


@pytest.mark.parametrize(
    "raw", [b"{}", "ä 木 \u202e".encode(), b"\xff\xfe\x00", b"", b'{"a":"\\ud800"}', b"a\nb\r"]
)
def test_bytes_come_back_as_they_were_sent(tmp_path: Path, raw: bytes) -> None:
    quarantine, counters = make(tmp_path)
    quarantine.write([reject(raw=raw)], NOW)
    quarantine.close()
    (entry,) = entries(tmp_path)
    assert entry.content == raw
    assert (entry.code, entry.detail, entry.source, entry.received_at) == ("bad", "no", "w.1", NOW)
    assert counters.quarantined == 1


@pytest.mark.parametrize(
    "found",
    [
        reject("personal_data", b'{"x":"anna@example.org"}', "field 'x' holds an email address"),
        reject("personal_data", b'{"x":"secret"}', "field 'x' is present"),
        reject("bad_ts", b'{"ts":"secret","note":"anna@example.org"}'),
        reject("bad_ts", b'{"ts":1,"user":{"phone":"+49 30 secret"}}'),
        reject("bad_ts", b'{"ts": "anna%40example.org secret"'),
        reject("bad_ts", b"{}", "ts 'anna@example.org secret' is no time"),
    ],
)
def test_personal_data_is_never_kept_whatever_the_reason(tmp_path: Path, found: Reject) -> None:
    quarantine, _ = make(tmp_path)
    quarantine.write([found], NOW)
    quarantine.close()
    (path,) = quarantine_files(tmp_path)
    text = path.read_text()
    assert "secret" not in text
    assert "@example" not in text
    assert found.code in text


def test_files_are_by_day_and_never_written_by_two_processes(tmp_path: Path) -> None:
    first, _ = make(tmp_path)
    first.write([reject()], NOW)
    first.write([reject()], NOW + DAY)
    first.close()
    second, _ = make(tmp_path)
    second.write([reject()], NOW)
    second.close()
    assert [path.name for path in quarantine_files(tmp_path)] == [
        "2026-11-21.w.1.000001.jsonl",
        "2026-11-21.w.1.000003.jsonl",
        "2026-11-22.w.1.000002.jsonl",
    ]


def test_what_does_not_fit_is_counted_by_code(tmp_path: Path) -> None:
    quarantine, counters = make(tmp_path, max_bytes=1000)
    quarantine.write([reject("one", b"x" * 300) for _ in range(2)], NOW)
    quarantine.write([reject("two", b"x" * 300) for _ in range(3)], NOW)
    quarantine.close()
    assert counters.quarantined == 2
    assert counters.quarantine_lost == 3
    (path,) = quarantine_files(tmp_path)
    lines = [entry for _, entry in read_quarantine(path)]
    assert lines[-1] == NotKept({"two": 3})
    assert sum(isinstance(line, QuarantineEntry) for line in lines) == 2


def test_room_that_was_made_is_found(tmp_path: Path) -> None:
    quarantine, counters = make(tmp_path, max_bytes=2000)
    (tmp_path / "other.jsonl").write_bytes(bytes(2000))
    quarantine.write([reject()], NOW)
    assert counters.quarantine_lost == 1
    (tmp_path / "other.jsonl").unlink()
    quarantine.write([reject()], NOW)
    quarantine.close()
    assert counters.quarantined == 1
    assert len(entries(tmp_path)) == 1


def test_a_folder_that_cannot_be_made_costs_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    quarantine, counters = make(tmp_path / "file")
    quarantine.write([reject(), reject()], NOW)
    quarantine.close()
    assert counters.quarantine_lost == 2


def test_unreadable_lines_are_no_trouble(tmp_path: Path) -> None:
    quarantine, _ = make(tmp_path)
    quarantine.write([reject()], NOW)
    quarantine.close()
    (path,) = quarantine_files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(b"\xff\n{}\n" + whole + whole[:20])
    assert [entry and entry.code for _, entry in read_quarantine(path)] == [None, None, "bad"]


class Store:
    """Takes replayed events and remembers ids, as the intake would."""

    def __init__(self, fail_after: int = 10**9) -> None:
        self.ids: list[str] = []
        self._fail_after = fail_after

    def __call__(self, batch: Sequence[Replayed]) -> list[Verdict]:
        verdicts = []
        for each in batch:
            if len(self.ids) >= self._fail_after:
                raise KeyboardInterrupt
            known = each.event.event_id in self.ids
            self.ids.append(each.event.event_id)
            verdicts.append(Verdict("duplicate" if known else "accepted", each.event.event_id))
        return verdicts


def by_id(raw: object, _: int) -> InteractionEvent:
    assert isinstance(raw, dict)
    if "id" not in raw:
        raise InvalidEventError("no_id", "id is missing")
    return event(raw["id"])


def fill(layout: StoreLayout, count: int, code: str = "bad") -> None:
    quarantine, _ = make(layout.quarantine)
    for number in range(count):
        quarantine.write([reject(code, json.dumps({"id": f"e{number}"}).encode())], NOW)
    quarantine.close()


def test_a_replay_sends_every_entry_once(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    fill(layout, 1200)
    store = Store()
    report = replay(layout, by_id, store)
    assert report.entries == 1200
    assert report.submitted == {"accepted": 1200}
    assert store.ids == [f"e{number}" for number in range(1200)]
    again = replay(layout, by_id, store)
    assert again.already_done == 1200
    assert len(store.ids) == 1200
    assert unreplayed(quarantine_files(layout.quarantine)[0]) == 0


def test_a_killed_replay_loses_nothing(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    fill(layout, 1200)
    store = Store(fail_after=700)
    with pytest.raises(KeyboardInterrupt):
        replay(layout, by_id, store)
    assert unreplayed(quarantine_files(layout.quarantine)[0]) == 700, "500 were marked"
    store._fail_after = 10**9
    report = replay(layout, by_id, store)
    assert report.already_done == 500
    assert report.submitted == {"duplicate": 200, "accepted": 500}
    assert set(store.ids) == {f"e{number}" for number in range(1200)}


def test_a_half_written_mark_does_not_mark_another_entry(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    fill(layout, 3)
    (path,) = quarantine_files(layout.quarantine)
    second = [offset for offset, _ in read_quarantine(path)][1]
    marks = path.with_name(path.name + ".done")
    marks.write_text(f"{second}")
    store = Store()
    assert replay(layout, by_id, store).submitted == {"accepted": 3}
    assert unreplayed(path) == 0


def test_what_is_still_invalid_stays_and_is_sent_when_it_can_be_read(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    quarantine, _ = make(layout.quarantine)
    quarantine.write([reject("x", b"{}"), reject("x", b"nonsense"), reject("x", b"\xff")], NOW)
    quarantine.close()
    report = replay(layout, by_id, Store())
    assert report.still_invalid == {"no_id": 1, "not_json": 2}
    store = Store()
    mended = replay(layout, lambda raw, at: event("mended"), store)
    assert mended.submitted == {"accepted": 1}
    assert mended.still_invalid == {"not_json": 2}


def test_codes_select_and_lasting_ones_are_left_unless_asked_for(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    fill(layout, 1, "conflict")
    fill(layout, 1, "too_late")
    fill(layout, 3, "future")
    quarantine, _ = make(layout.quarantine)
    quarantine.write([reject("personal_data", b'{"email":"x"}')], NOW)
    quarantine.close()
    assert replay(layout, by_id, Store(), codes=["too_large"]).not_selected == 6
    report = replay(layout, by_id, Store())
    assert report.submitted == {"accepted": 3}
    assert report.not_selected == 2
    assert report.withheld == 1
    assert replay(layout, by_id, Store(), codes=["conflict", "too_late"]).submitted == {
        "accepted": 1,
        "duplicate": 1,
    }


def test_a_mended_dialect_brings_real_events_back(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    raw = {"event_type": "view_item", "event_id": "q1", "ts": "2026-11-21T10:00:00Z"}
    raw |= {"visitor_id": "v", "items": [{"item_id": "i"}]}
    quarantine, _ = make(layout.quarantine)
    quarantine.write([reject("unknown_event", json.dumps(raw).encode())], NOW)
    quarantine.close()
    store = Store()
    replay(layout, normalise, store)
    assert store.ids == ["q1"]


def test_an_empty_quarantine_is_replayed(tmp_path: Path) -> None:
    assert replay(StoreLayout(tmp_path), by_id, Store()).entries == 0
