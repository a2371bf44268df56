"""Reading the log: whole, torn, flipped, growing, unknown, poisoned."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.event_log import LogReader, read_records
from feature_store.event_log.frame import (
    EVENT,
    MAGIC,
    MARKER,
    MAX_BODY_BYTES,
    Damage,
    Frame,
    FrameScanner,
    encode_frame,
)
from feature_store.records import DecisionRecord, EventRecord
from tests.feature_store.log_cases import (
    NOW,
    decision,
    event,
    ids_of,
    open_writer,
    prepared,
    read_ids,
    write_log,
)

IDS = [f"e{number}" for number in range(8)]


def spans(path: Path) -> list[tuple[int, int]]:
    """First byte and end of each event record."""
    return [(entry.offset, entry.end) for entry in read_records(path.parent)]


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    write_log(tmp_path, ["a", "b"])
    first, second = read_records(tmp_path)
    assert first.record == EventRecord(event("a"), NOW, seq=0, writer="w.1")
    assert second.record.seq == 1
    assert first.segment == second.segment == "w.1-0000000001.seg"
    assert first.end == second.offset


def test_events_and_decisions_are_one_stream_with_one_numbering(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.append_events([prepared("a")])
    assert writer.append_decisions([decision("d")]) == range(1, 2)
    writer.append_events([prepared("b"), prepared("c")])
    writer.close()
    records = [entry.record for entry in read_records(tmp_path)]
    assert [record.seq for record in records] == [0, 1, 2, 3]
    assert isinstance(records[1], DecisionRecord)
    assert records[1].writer == "w.1"


def test_the_first_bytes_are_what_the_documentation_says(tmp_path: Path) -> None:
    data = write_log(tmp_path, ["a"]).read_bytes()
    assert data.startswith(b"DPLOG1\r\n\xff\xc1\xfe\xc0")
    length = int.from_bytes(data[16:20], "little")
    assert int.from_bytes(data[12:16], "little") == zlib.crc32(data[16 : 20 + length])
    assert data[20:21] == b"S"
    start = msgspec.json.decode(data[30 : 20 + length])
    assert start["record"] == "segment_start"
    assert start["format"] == 1


def test_a_missing_folder_is_an_empty_log(tmp_path: Path) -> None:
    assert read_ids(tmp_path / "nowhere") == []


def test_foreign_files_are_passed_over(tmp_path: Path) -> None:
    write_log(tmp_path, ["a"])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "w.1-1.seg").write_text("x")
    assert read_ids(tmp_path) == ["a"]


def test_truncation_at_every_byte_of_the_last_three_records(tmp_path: Path) -> None:
    path = write_log(tmp_path, IDS, close=False)
    data, places = path.read_bytes(), spans(path)
    assert places[-1][1] == len(data)
    for size in range(places[-3][0], len(data) + 1):
        path.write_bytes(data[:size])
        reader = LogReader(tmp_path)
        whole = [name for name, (_, end) in zip(IDS, places, strict=True) if end <= size]
        assert ids_of(reader) == whole
        last_end = places[len(whole) - 1][1]
        assert reader.counts.torn_bytes == size - last_end
        assert reader.counts.damaged == 0
        assert reader.positions[path.name] == last_end


@pytest.mark.parametrize("close", [True, False], ids=["closed", "growing"])
def test_every_flipped_byte_costs_exactly_its_record(tmp_path: Path, close: bool) -> None:
    path = write_log(tmp_path, IDS, close=close)
    data, places = path.read_bytes(), spans(path)
    for victim in (0, 3, len(IDS) - 1):
        for position in range(*places[victim]):
            for mask in (0x01, 0x80):
                flipped = bytearray(data)
                flipped[position] ^= mask
                path.write_bytes(flipped)
                reader = LogReader(tmp_path)
                assert ids_of(reader) == [*IDS[:victim], *IDS[victim + 1 :]]
                assert reader.counts.damaged + (reader.counts.torn_bytes > 0) == 1


def test_a_flipped_byte_in_the_first_frame_costs_no_record(tmp_path: Path) -> None:
    path = write_log(tmp_path, IDS)
    data, first = path.read_bytes(), spans(path)[0][0]
    for position in range(first):
        flipped = bytearray(data)
        flipped[position] ^= 0x55
        path.write_bytes(flipped)
        assert read_ids(tmp_path) == IDS


def test_reading_goes_on_where_it_ended_while_the_segment_grows(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    seen: list[str] = []
    positions: dict[str, int] = {}
    for number in range(20):
        writer.append_events([prepared(f"e{number}")])
        if number == 9:
            writer.begin_segment(NOW)
        reader = LogReader(tmp_path, positions)
        seen += ids_of(reader)
        positions = reader.positions
    assert seen == [f"e{number}" for number in range(20)]
    assert len(positions) == 2
    writer.close()
    assert ids_of(LogReader(tmp_path, positions)) == []


def test_a_partly_written_record_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = write_log(tmp_path, ["a"], close=False)
    frame = prepared("b").frame(1)
    positions: dict[str, int] = {}
    seen: list[str] = []
    for byte in frame:
        with path.open("ab") as stream:
            stream.write(bytes([byte]))
        reader = LogReader(tmp_path, positions)
        seen += ids_of(reader)
        positions = reader.positions
        assert reader.counts.damaged == 0
    assert seen == ["a", "b"]


def test_positions_of_segments_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    path = write_log(tmp_path, ["a"])
    reader = LogReader(tmp_path)
    assert ids_of(reader) == ["a"]
    path.unlink()
    again = LogReader(tmp_path, reader.positions)
    assert ids_of(again) == []
    assert again.positions == {}


def test_a_position_behind_the_end_reads_nothing(tmp_path: Path) -> None:
    path = write_log(tmp_path, ["a"])
    assert ids_of(LogReader(tmp_path, {path.name: 10**9})) == []


def test_kinds_fields_and_poison_of_the_future_are_passed_over_and_counted(tmp_path: Path) -> None:
    path = write_log(tmp_path, ["a"], close=False)
    frame = prepared("b").frame(1)
    new_field = frame[22 + 32 :].replace(b'"event_id":"b"', b'"event_id":"b"', 1)
    good = new_field[:-1] + b',"brand_new":{"x":1}}'
    poison = [
        encode_frame(ord("Z"), NOW, b"", b'{"record":"exposure"}'),
        encode_frame(EVENT, NOW, b"", b'{"record":"event","event":{"event_id":1}}'),
        encode_frame(EVENT, NOW, b"", b"not json"),
        encode_frame(EVENT, NOW, b"", b"\xff\xfe\x00"),
        encode_frame(EVENT, NOW, b"", b""),
        encode_frame(EVENT, NOW, b"", b"[" * 100_000),
        encode_frame(EVENT, NOW, b"", b'{"record":"decision"}'),
        encode_frame(EVENT, NOW, b"x" * 31, b'{"a":"' + MARKER + b'"}'),
        encode_frame(EVENT, NOW, frame[22 : 22 + 32], good),
    ]
    with path.open("ab") as stream:
        stream.write(b"".join(poison))
        stream.write(prepared("c").frame(3))
    reader = LogReader(tmp_path)
    assert ids_of(reader) == ["a", "b", "c"]
    assert reader.counts.unknown == 1
    assert reader.counts.unreadable == 7
    assert reader.counts.damaged == reader.counts.torn_bytes == 0


def test_a_record_longer_than_the_window_is_read(tmp_path: Path) -> None:
    path = write_log(tmp_path, ["a"], close=False)
    long = encode_frame(ord("Z"), NOW, b"", b"x" * (3 << 20))
    with path.open("ab") as stream:
        stream.write(long + prepared("b").frame(1) + long + long)
    reader = LogReader(tmp_path)
    assert ids_of(reader) == ["a", "b"]
    assert reader.counts.unknown == 3


def test_a_damaged_long_record_does_not_hide_the_next(tmp_path: Path) -> None:
    path = write_log(tmp_path, ["a"], close=False)
    long = bytearray(encode_frame(ord("Z"), NOW, b"", b"x" * (3 << 20)))
    long[2 << 20] ^= 1
    with path.open("ab") as stream:
        stream.write(long + prepared("b").frame(1))
    reader = LogReader(tmp_path)
    assert ids_of(reader) == ["a", "b"]
    assert reader.counts.damaged == 1


def test_a_record_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape(f"at most {MAX_BODY_BYTES}")):
        encode_frame(EVENT, NOW, b"", b"x" * MAX_BODY_BYTES)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_error(garbage: bytes) -> None:
    descriptor = os.memfd_create("garbage")
    try:
        frame = prepared("a").frame(0)
        data = MAGIC + garbage + frame
        os.write(descriptor, data)
        found = list(FrameScanner(descriptor, len(MAGIC), len(data)))
        assert [each.offset for each in found if isinstance(each, Frame)][-1:] == [
            len(data) - len(frame)
        ]
        # Together the parts are the file, without holes and overlaps.
        ends = [len(MAGIC), *(each.end for each in found)]
        assert [each.offset for each in found] == ends[:-1]
        assert ends[-1] == len(data)
        assert not any(isinstance(each, Damage) and each.torn for each in found)
    finally:
        os.close(descriptor)
