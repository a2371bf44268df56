"""CSV in blocks: every row once, broken rows alone."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.loaders import csv_rows
from feature_store.loaders.columns import LINE, REJECT_REASON, ROW
from feature_store.loaders.csv_rows import csv_frames
from feature_store.loaders.options import LoadOptions
from recommender.errors import DataError


def _read(path: Path, encoding: str = "utf-8", batch_rows: int = 1000) -> list[tuple]:
    """Rows as (fields, reason, line)."""
    frames = list(csv_frames(path, LoadOptions(batch_rows=batch_rows), encoding))
    assert all(frame.height <= batch_rows for frame in frames)
    return [
        (None if row is None else tuple(row.values()), reason, line)
        for frame in frames
        for row, reason, line in frame.select(ROW, REJECT_REASON, LINE).rows()
    ]


def _write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    return path


def test_good_rows(tmp_path: Path) -> None:
    path = _write(tmp_path, b'a,b\r\n1,2\r\n\r\n"x,""y""\nz",\r\n 3 ,4')
    assert [row[0] for row in _read(path)] == [("1", "2"), ('x,"y"\nz', None), (" 3 ", "4")]
    assert {row[1] for row in _read(path)} == {None}


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    frames = list(csv_frames(_write(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n"), LoadOptions()))
    assert [field.name for field in frames[0].schema[ROW].fields] == ["a", "b"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"1,2,3", "too_many_fields"),
        (b"1,2,3,4,5", "too_many_fields"),
        (b'1,"2', "bad_quoting"),
        (b'1,"2"x', "bad_quoting"),
        (b'1,2"', "bad_quoting"),
        (b"1,\xff", "bad_utf8"),
        (b"\xed\xa0\x80,1", "bad_utf8"),
    ],
)
@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_broken_row_costs_that_row_only(
    tmp_path: Path, broken: bytes, reason: str, where: int
) -> None:
    lines = [b"g1,1", b"g2,2"]
    lines.insert(where, broken)
    found = _read(_write(tmp_path, b"a,b\n" + b"\n".join(lines) + b"\n"))
    assert [row[0] for row in found if row[1] is None] == [("g1", "1"), ("g2", "2")]
    (reject,) = (row for row in found if row[1] is not None)
    assert reject[1] == reason
    assert reject[0] is not None or reject[2].startswith(broken.decode("utf-8", "backslashreplace"))


def test_another_encoding_is_for_the_rows_that_need_it(tmp_path: Path) -> None:
    path = _write(tmp_path, "a,b\n£1,ü\n".encode() + "£2,x\n".encode("cp1252") + "€3,x\n".encode())
    assert [row[0][0] for row in _read(path, "cp1252")] == ["£1", "£2", "€3"]


def test_short_rows_have_nulls(tmp_path: Path) -> None:
    assert [row[0] for row in _read(_write(tmp_path, b"a,b,c\n1\n2,3\n"))] == [
        ("1", None, None),
        ("2", "3", None),
    ]


@pytest.mark.parametrize("header", [b"", b"\n", b"a,a\n1,2\n", b"a,\n", b"\xff\n", b'"a\n'])
def test_a_file_without_a_header_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(DataError, match=r"rows\.csv"):
        _read(_write(tmp_path, header))


def test_packed_files_are_read_and_damaged_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    packed = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    path.write_bytes(packed)
    assert len(_read(path)) == 1000
    path.write_bytes(packed[:-12])
    with pytest.raises(DataError, match="cannot be read"):
        _read(path)
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match="cannot be read"):
        _read(path)


def test_a_folder_is_read_by_name(tmp_path: Path) -> None:
    (tmp_path / "2.csv").write_bytes(b"a,b\n2,2\n")
    (tmp_path / "1.csv").write_bytes(b"a,b\n1,1\n")
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert [row[0] for row in _read(tmp_path)] == [("1", "1"), ("2", "2")]
    with pytest.raises(DataError, match="does not exist"):
        _read(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no file ending in"):
        _read(tmp_path / "empty")


FIELD = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=5)
# A row whose fields are all empty is a blank line.
ROWS = st.lists(st.tuples(st.just("k"), FIELD, FIELD), max_size=40)


@given(rows=ROWS, block=st.integers(100, 400))
def test_every_block_size_gives_every_row_once(tmp_path_factory, rows: list, block: int) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([("a", "b", "c"), *rows])
    path = _write(tmp_path_factory.mktemp("csv"), buffer.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK_BYTES", block)
        found = _read(path, batch_rows=7)
    assert {row[1] for row in found} <= {None}
    assert [tuple(field or "" for field in row[0]) for row in found] == rows


@given(
    content=st.binary(max_size=300) | st.text(alphabet='ab",\n\r\0é', max_size=300).map(str.encode),
    block=st.integers(8, 100),
)
def test_arbitrary_bytes_never_stop_a_file(tmp_path_factory, content: bytes, block: int) -> None:
    path = _write(tmp_path_factory.mktemp("csv"), b"a,b\n" + content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK_BYTES", block)
        found = _read(path)
    good = b"a,b\ngood,1\n" + content
    path.write_bytes(good)
    assert ("good", "1") in [row[0] for row in _read(path)]
    assert all(row[1] is None or row[0] is not None or row[2] is not None for row in found)


def test_a_quote_that_never_closes_does_not_swallow_the_file(tmp_path: Path) -> None:
    rows = b"".join(b"%d,x\n" % number for number in range(20_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "BLOCK_BYTES", 4096)
        found = _read(_write(tmp_path, b'a,b\n1,"open\n' + rows))
    assert len(found) == 20_001
    assert [row[1] for row in found].count(None) == 20_000


def test_frames_have_text_fields_only(tmp_path: Path) -> None:
    (frame,) = csv_frames(_write(tmp_path, b"a,b\n1,2019-01-01\n"), LoadOptions())
    assert {field.dtype for field in frame.schema[ROW].fields} == {pl.String()}
